"""The two boxes of small facts: under which protocol the numbers were made, and where the run came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.summary import Summary
from ltrec.evaluation.table import EvalTable

Facts = tuple[tuple[str, str], ...]
UNKNOWN = "not recorded"


def protocol_facts(summary: Summary, table: EvalTable, recorded: Mapping[str, Any] | None, config: EvaluationConfig) -> Facts:
    """What must agree before two results may be compared."""
    protocol, data = summary.protocol, _of(recorded, "data")
    strata = ", ".join(f"{name}: {users:,}" for name, users in zip(table.strata.names(), table.strata.users, strict=True))
    candidates = "every item of the catalogue" if protocol.candidates == "full" else protocol.candidates
    return (
        ("Data set", str(data.get("name", UNKNOWN))),
        ("Manifest", protocol.manifest[:16] or UNKNOWN),
        ("Split", f"{protocol.split}, {_text(_of(data, 'split').get('kind')).replace('_', ' ')}"),
        ("Users evaluated", f"{table.num_users:,}"),
        ("Strata", f"{strata} training users (by training events)"),
        ("Head", f"users with {table.strata.head_from if config.head_from is None else config.head_from} training events or more"),
        (
            "Candidates",
            f"{candidates}; {summary.rivals:,.0f} rivals on average" if summary.rivals == summary.rivals else candidates,
        ),
        ("Seen items", "left out, the target never" if protocol.filter_seen else "stay in"),
        ("Ties", f"{protocol.ties}: equal scores count against the target" if protocol.ties == "pessimistic" else protocol.ties),
        ("Intervals", f"95 %, bootstrap over users, {config.bootstrap_samples:,} resamples"),
        ("Scorer", _scorer(table)),
    )


def provenance_facts(recorded: Mapping[str, Any] | None) -> Facts:
    """Versions, code, hardware, command."""
    if recorded is None:
        return (("Recorded", "nothing: provenance.json is missing, so this run cannot be repeated from this page"),)
    git, hardware = _of(recorded, "git"), _of(recorded, "hardware")
    versions = ", ".join(f"{name} {version}" for name, version in _of(recorded, "versions").items())
    return (
        ("Command", _text(recorded.get("command"))),
        ("Seed", _text(recorded.get("seed"))),
        ("Started", _text(recorded.get("started"))),
        ("Versions", versions or UNKNOWN),
        (
            "Git",
            f"{_text(git.get('commit'))[:12]}{', with uncommitted changes' if git.get('dirty') else ''}"
            if git
            else "no repository",
        ),
        ("Hardware", _hardware(hardware)),
        ("Data", _text(_of(recorded, "data").get("path"))),
    )


def _hardware(hardware: Mapping[str, Any]) -> str:
    if not hardware:
        return UNKNOWN
    gpus = hardware.get("gpus") or []
    named = ", ".join(str(g) for g in gpus) if isinstance(gpus, list) and gpus else "no GPU"
    processes = f"{_text(hardware.get('processes'))} process(es)"
    return f"{_text(hardware.get('system'))}, {_text(hardware.get('cpus'))} CPUs, {named}, {processes}"


def _scorer(table: EvalTable) -> str:
    checkpoint = table.source.get("checkpoint_sha256")
    return table.name + (f", checkpoint {str(checkpoint)[:12]}" if checkpoint else "")


def _of(tree: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    value = (tree or {}).get(key)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return UNKNOWN if value is None or value == "" else str(value)
