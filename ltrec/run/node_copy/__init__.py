"""A copy of the data on a node: `--stage` of `ltrec launch slurm`."""
