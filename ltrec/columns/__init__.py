"""Columns that travel with the data: what a log knows of an event, an item or a user besides its id.

schema.py      what a column is, as the manifest records it, and which of them somebody asks for
names.py       what columns may be called
kinds/         what their values are: one file and one row a kind
statistics.py  what is known of the values that are trained on
"""

from __future__ import annotations

from ltrec.columns.schema import Column, Projection, Role, Schema

__all__ = ["Column", "Projection", "Role", "Schema"]
