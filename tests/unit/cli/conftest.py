"""Fixtures that several files here share."""

from tests.support.slurm_site import site

__all__ = ["site"]
