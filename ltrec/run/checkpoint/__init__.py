"""Which checkpoint a run goes on from or is scored with, and whether it belongs to it."""
