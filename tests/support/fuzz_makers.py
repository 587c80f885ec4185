"""Every kind of hostile input, with its weight."""

from __future__ import annotations

from tests.support.fuzz import Make
from tests.support.fuzz_files import a_checkpoint, a_log, a_manifest, a_run_folder
from tests.support.fuzz_words import a_command_line, a_config, a_training

MAKERS: dict[str, tuple[int, Make]] = {
    "config": (35, a_config),
    "command line": (25, a_command_line),
    "manifest": (18, a_manifest),
    "checkpoint": (10, a_checkpoint),
    "log": (10, a_log),
    "run folder": (3, a_run_folder),
    "training": (2, a_training),
}
