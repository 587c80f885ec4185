"""`ltrec launch slurm`: a job script that saves, requeues and resumes by itself."""
