"""Fixtures of the run of seconds (`tiny_run`), which many files share. Each file has a copy of its own, which it may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltrec.run.train import train
from tests.support.tiny_run import tiny_config, tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set."""
    return tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, trained to its end in one go."""
    return train(tiny_config(data, tmp_path_factory.mktemp("undisturbed"))).path
