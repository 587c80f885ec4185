"""Intervals over users and training seeds, and how many of either would decide a test."""
