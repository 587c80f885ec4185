"""Measurements: a file is a command, `python benchmarks/NAME.py`; a folder with a `__main__` is `python -m benchmarks.NAME`."""
