"""Runs of events: rows that lie anywhere in flat arrays, copied whole."""
