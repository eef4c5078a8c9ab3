RUN = ("tests/output/test_name_validation.py",)
SKIPPED = {
    "takes too long at Wine's 5 ms an append": [
        r"output/test_append.py::test_records_of_many_writers_never_mix"
    ],
}
