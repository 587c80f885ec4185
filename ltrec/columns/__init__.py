"""Columns: what a log records about an event, an item or a user besides its id.

schema.py      a column as the manifest records it, and the columns that a reader requests
names.py       valid names of columns
kinds/         types of values: one file and one row of the registry each
statistics.py  mean, spread and range of training values
"""

from __future__ import annotations

from ltrec.columns.schema import Column, Projection, Role, Schema

__all__ = ["Column", "Projection", "Role", "Schema"]
