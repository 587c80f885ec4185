"""The two boxes of facts: the evaluation protocol, and the provenance of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ltrec.core.counting import counted
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.users import strata_of
from ltrec.evaluation.memory.text import memory_line
from ltrec.evaluation.summary import Summary
from ltrec.evaluation.table import FULL, SEEN, EvalTable
from ltrec.evaluation.training_facts import ranked_line
from ltrec.reporting.method import Method

Facts = tuple[tuple[str, str], ...]
UNKNOWN = "not recorded"
_COUNTS = (("cpus", "CPU", "CPUs"), ("processes", "process", "processes"))


def protocol_facts(summary: Summary, method: Method, config: EvaluationConfig) -> Facts:
    """Facts that must be equal for two results to be comparable."""
    protocol, data, tables = summary.protocol, _of(method.runs[0].provenance, "data"), method.tables(summary.protocol.split)
    table = tables[0]
    strata = ", ".join(f"{name}: {users:,}" for name, users in zip(table.strata.names(), table.strata.users, strict=True))
    texts = {FULL: "every item of the catalogue", SEEN: "items with training events"}
    candidates = texts.get(protocol.candidates, protocol.candidates)
    seeds = [seed for seed in summary.seeds if seed is not None]
    over = "users and seeds" if len(summary.seeds) > 1 else "users"
    return (
        ("Data set", str(data.get("name", UNKNOWN))),
        ("Manifest", protocol.manifest[:16] or UNKNOWN),
        ("Split", f"{protocol.split}, {_text(_of(data, 'split').get('kind')).replace('_', ' ')}"),
        ("Seeds", ", ".join(map(str, seeds)) or UNKNOWN),
        ("Users evaluated", f"{table.num_users:,}"),
        ("Strata", f"{strata} training users (by training events)"),
        ("Head", f"users with {counted(strata_of(table, config.head_from).head_from, 'training event')} or more"),
        (
            "Candidates",
            f"{candidates}; {summary.rivals:,.0f} rivals on average" if summary.rivals == summary.rivals else candidates,
        ),
        ("Seen items", "left out, the target never" if protocol.filter_seen else "stay in"),
        ("Ties", f"{protocol.ties}: equal scores count against the target" if protocol.ties == "pessimistic" else protocol.ties),
        ("Intervals", f"95 %, bootstrap over {over}, {counted(config.bootstrap_samples, 'resample')}"),
        ("Scorer", _joined(_scorer(t) for t in tables)),
        *((("Checkpoint", _joined(listed)),) if (listed := [line for t in tables if (line := ranked_line(t))]) else ()),
        *((("Memory", _joined(listed)),) if (listed := [line for t in tables if (line := memory_line(t))]) else ()),
    )


def provenance_facts(method: Method) -> Facts:
    """Versions, code, hardware and command of each run; values common to all runs are given once."""
    found = [_provenance(run.provenance) for run in method.runs]
    names = dict.fromkeys(name for facts in found for name in facts)
    return tuple((name, _joined(facts[name] for facts in found if name in facts)) for name in names)


def _joined(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def _provenance(recorded: Mapping[str, Any] | None) -> dict[str, str]:
    if recorded is None:
        return {"Recorded": "nothing: provenance.json is missing or damaged, so this run cannot be repeated from this page"}
    git, hardware = _of(recorded, "git"), _of(recorded, "hardware")
    dirty = ", with uncommitted changes" if git.get("dirty") else ""
    return {
        "Command": _text(recorded.get("command")),
        "Seed": _text(recorded.get("seed")),
        "Started": _text(recorded.get("started")),
        "Versions": ", ".join(f"{name} {version}" for name, version in _of(recorded, "versions").items()) or UNKNOWN,
        "Git": f"{_text(git.get('commit'))[:12]}{dirty}" if git else "no repository",
        "Hardware": _hardware(hardware),
        "Data": _text(_of(recorded, "data").get("path")),
        **_trained_on(recorded),
    }


def _trained_on(recorded: Mapping[str, Any]) -> dict[str, str]:
    """On which data the weights were trained, span by span, if they are not this run's from the beginning."""
    spans = _of(recorded, "init_from").get("trained_on")
    if not isinstance(spans, list) or not spans:
        return {}
    before = ", ".join(
        f"{_counted(span.get('steps'), 'step', 'steps')} on data {_text(span.get('manifest_digest'))[:12]}"
        for span in spans
        if isinstance(span, dict)
    )
    return {"Trained on": f"{before}; then this run, on data {_text(_of(recorded, 'data').get('digest'))[:12]}"}


def _hardware(hardware: Mapping[str, Any]) -> str:
    if not hardware:
        return UNKNOWN
    gpus = hardware.get("gpus") or []
    named = ", ".join(str(g) for g in gpus) if isinstance(gpus, list) and gpus else "no GPU"
    cpus, processes = (_counted(hardware.get(key), noun, nouns) for key, noun, nouns in _COUNTS)
    return f"{_text(hardware.get('system'))}, {cpus}, {named}, {processes}"


def _counted(number: object, noun: str, plural: str) -> str:
    return counted(number, noun, plural) if isinstance(number, int) else f"{_text(number)} {plural}"


def _scorer(table: EvalTable) -> str:
    checkpoint = table.source.get("checkpoint_sha256")
    return table.name + (f", checkpoint {str(checkpoint)[:12]}" if checkpoint else "")


def _of(tree: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    value = (tree or {}).get(key)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return UNKNOWN if value is None or value == "" else str(value)
