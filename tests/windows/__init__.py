"""The tests that run under the CPython for Windows; see CONTRIBUTING, "Windows"."""
