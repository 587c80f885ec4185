"""Optimisers and schedules: AdamW over two parameter groups, learning rate as a pure function of the step."""
