"""A real S3 server for every test here."""

from __future__ import annotations

import pytest

from ltrec.core.storage.remote import store as stores
from tests.support.s3_server import S3Server


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with an empty bucket, an empty cache, and little patience with what stalls."""
    running = S3Server()
    for name, value in {**running.variables(), "LTREC_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stores, "_REQUEST_SECONDS", 1)
    yield running
    running.stop()
