RUN = ("tests/output/test_name_validation.py",)
SKIPPED = {}
