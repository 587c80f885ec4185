"""Content for the unreached: ids alone against ids and item columns. `python -m benchmarks.content --help`."""
