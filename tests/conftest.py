"""What holds for every test: Hypothesis without deadlines, and time-outs that one variable stretches."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.support.timeouts import scaled

# A property is true or false, not slow: on a busy machine any example may take seconds. Under CI examples are the same every time.
settings.register_profile("ltrec", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ltrec")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """pytest-timeout, stretched: the limit of a test's own mark, or that of pyproject.toml."""
    everybody = float(config.getini("timeout"))
    for item in items:
        own = item.get_closest_marker("timeout")
        limit = float(own.args[0]) if own and own.args else everybody
        item.add_marker(pytest.mark.timeout(scaled(limit)), append=False)
