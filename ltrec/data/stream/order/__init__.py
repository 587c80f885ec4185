"""The order of training: which row goes to which slot of which step. Pure functions; no files, no world, no clock."""
