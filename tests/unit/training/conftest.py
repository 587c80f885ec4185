"""Fixtures that several files here share."""

from tests.support.tiny_fixtures import data

__all__ = ["data"]
