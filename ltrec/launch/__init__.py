"""Start runs: torchrun on this machine, or a Slurm job."""
