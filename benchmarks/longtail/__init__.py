"""Who serves the tail, on every log and backbone: `python -m benchmarks.longtail --help`, `benchmarks/results/longtail.md`."""
