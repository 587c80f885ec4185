"""One cluster for all tests here, and the figures they find, shown at the end."""

import pytest

from tests.support.slurm_cluster import Cluster, why_not
from tests.support.tiny_fixtures import data

__all__ = ["data"]

FIGURES = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    if reason := why_not():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def figure(request):
    """Call it with a line to be shown after the tests."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter, config):
    if lines := config.stash.get(FIGURES, []):
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
