"""Intervals: users drawn anew, seeds drawn anew, and how many of either would decide."""
