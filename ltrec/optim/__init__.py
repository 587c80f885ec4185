"""Optimisers and schedules: over named groups of parameters, learning rate as a pure function of the step."""
