"""Roof: the command line and the composition root. The only place that prints, reads the environment and makes objects of names."""
