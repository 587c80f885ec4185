"""Fixtures that several files here share."""

from tests.support.tiny_fixtures import data, undisturbed

__all__ = ["data", "undisturbed"]
