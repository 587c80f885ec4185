"""Converts times, in the forms that logs use, to integers of one unit."""
