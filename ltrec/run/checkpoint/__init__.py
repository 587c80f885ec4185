"""The checkpoint that a run resumes from or is scored with, and checks that it belongs to the run."""
