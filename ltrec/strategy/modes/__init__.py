"""Gradient modes: the ways to compute a step's gradient."""
