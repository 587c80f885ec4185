"""Memory that was freed is there again without the kernel, unless the user has settings of his own."""

import os
import platform
import subprocess
import sys

import pytest

from tests.support.source_tree import ROOT

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

SCRIPT = """
import resource, sys
from ltrec.run.process.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
block = b"x" * (100 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    del block
    block = b"x" * (100 << 20)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word, **variables):
    """What was answered, and page faults of taking 100 MiB three times more."""
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "GLIBC_TUNABLES")}
    environment = {name: value for name, value in environment.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", SCRIPT, word]
    done = subprocess.run(
        command, env={**environment, "PYTHONPATH": str(ROOT), **variables}, capture_output=True, text=True, check=True
    )
    kept, count = done.stdout.split()
    return kept, int(count)


def test_blocks_come_back_without_page_faults():
    assert faults("as it is")[1] > 1000, "or there is nothing to cure"
    kept, count = faults("keep")
    assert kept == "True"
    if tuple(map(int, platform.libc_ver()[1].split("."))) >= (2, 35):
        assert count < 100


def test_settings_of_the_user_are_left_alone():
    assert faults("keep", MALLOC_TRIM_THRESHOLD_="1000000")[0] == "False"
