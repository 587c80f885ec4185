"""Fixtures of the report's tests."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest

from ltrec.reporting.plots import style as plots
from tests.support.fake_run import fake_run


@pytest.fixture
def blank_figures(request, monkeypatch):
    """Drawing is tested in test_plots.py; here a blank stands for every figure, except where a test asks for `drawn`."""
    blank = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABc3UBGAAAAABJRU5ErkJggg==")
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(plots, "_png", lambda painter, theme, inches: blank)


@pytest.fixture
def drawn(monkeypatch):
    monkeypatch.setattr(plots, "DPI", 40)


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    return fake_run(tmp_path_factory.mktemp("runs") / "plain", users=260)


@pytest.fixture
def run(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "plain"))
