"""The run folder: its files, its owner, and how a run is found in it."""
