"""What `--json` says: one line on stdout, with keys that stay what they are. Numbers that are none (no users, no base) are null.

    prepare, verify   data, name, digest, up_to_date, rows, rejected, duplicates, filtered, events, train_events, users, items,
                      head_from, strata: [{name, users, trainable, events, reach}]
                      reach: {repeat, one_link, two_links, beyond}: validation targets by distance from the history, or null
    train             run, step, epoch, monitor, best, checkpoint, memory (as evaluate has it)
    evaluate          split, results, runs: [{run, model, memory, groups, baselines: {NAME: groups}}], comparison, gate
                      memory: null, or {form, neighbours, choice: {grid, all: {users, ndcg, weight}, strata: [{...}, ...]}}
                      groups: {all, tail, head, stratum=0, ...: {users, METRIC: {mean, low, high}}}
    predict           predictions, rows, k, checkpoint
    report            report
    doctor            findings: [{verdict, name, says, remedy, machine}], verdict

A command that fails says nothing on stdout: its line is on stderr, and its exit code is not 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ltrec.api.evaluation import number
from ltrec.config.tree import RunConfig
from ltrec.core.run_folder import RunFolder
from ltrec.core.storage.atomic import sha256_file
from ltrec.doctor.finding import Finding
from ltrec.evaluation.memory.words import memory_facts
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.scoring.memory_choices import latest_choice
from ltrec.training.checkpoints.io import read_checkpoint, whole_file


def train_answer(config: RunConfig, run: RunFolder) -> dict[str, Any]:
    """A run that has ended, as its last checkpoint has it."""
    state = read_checkpoint(run.last)
    best, checkpoint = state["callbacks"].get("Checkpoints", {}).get("best", {}), find_checkpoint(run, "best")
    chosen = latest_choice(run.memory_choices, sha256_file(whole_file(checkpoint))) if config.memory is not None else None
    return {
        "run": str(run.path),
        "step": state["global_step"],
        "epoch": state.get("run", {}).get("epochs"),
        "monitor": config.trainer.monitor,
        "best": number(best.get("best", best.get("stage1", math.nan))),
        "checkpoint": str(checkpoint),
        "memory": None if chosen is None else memory_facts(chosen[0]["form"], chosen[0]["neighbours"], chosen[1]),
    }


def doctor_answer(findings: Sequence[Finding], verdict: str) -> dict[str, Any]:
    """What was found."""
    return {"findings": [asdict(finding) for finding in findings], "verdict": verdict}
