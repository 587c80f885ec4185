"""Verifies a prepared data set from its bytes: files, rows, distances."""
