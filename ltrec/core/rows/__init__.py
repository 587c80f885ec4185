"""Rows of batches and of tables.

on_host.py    what the host knows of a batch's rows
touched.py    the rows of a table that a step touches
"""
