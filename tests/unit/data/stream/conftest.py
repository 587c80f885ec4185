"""A small prepared data set."""

from __future__ import annotations

import pytest

from tests.support.shards import random_users, write_dataset


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder, manifest and users of a small data set: 3 strata, uneven shards."""
    folder = tmp_path_factory.mktemp("tiny")
    users = random_users([41, 40, 38])
    return folder, write_dataset(folder, users, block_rows=3), users
