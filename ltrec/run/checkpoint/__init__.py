"""Which checkpoint a run resumes from or is scored with, and whether it belongs to the run."""
