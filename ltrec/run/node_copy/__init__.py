"""Copying the data to a disk of the node: `--stage` of `ltrec launch slurm`."""
