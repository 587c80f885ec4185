"""Comparing two scorers: paired users, differences with intervals, and the gate."""
