"""`ltrec evaluate RUN...`: metrics by stratum with intervals; `--compare` another run, or several seeds of it, through the gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ltrec.cli.evaluation_tables import (
    print_baselines,
    print_comparison,
    print_convergence,
    print_gate,
    print_ranked,
    print_seeds,
    print_summaries,
)
from ltrec.cli.json_answers import groups_answer
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.run_folder import RunFolder
from ltrec.core.storage.atomic import atomic_write_text, canonical_json, sha256_file
from ltrec.data.manifest import Manifest
from ltrec.evaluation.comparison.compare import compare as compare_tables
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.memory.words import KEY as MEMORY
from ltrec.evaluation.reach import reach_line
from ltrec.evaluation.summary import Summary, summarise
from ltrec.evaluation.table import EvalTable
from ltrec.evaluation.training_facts import KEY
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.checkpoint.scoring_weights import refuse_weights
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.reopen import reopen, split_runs
from ltrec.run.process.agreement import code, settings
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.processes import Processes, detect, process_group
from ltrec.run.process.rendezvous import meet
from ltrec.terminal.progress_row import StageBar
from ltrec.terminal.screen import Screen, note, screen, speaking
from ltrec.training.checkpoints.io import whole_file

_MEETING_SECONDS = 600.0
"""How long to wait for the other processes."""


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(help="Run folders; several = seeds of one method. Then evaluation.key=value words.", show_default=False),
    ],
    compare: Annotated[
        list[Path] | None, typer.Option(help="Baseline run folder to compare with; repeat it for several seeds, in the same order.")
    ] = None,
    split: Annotated[str, typer.Option(help="test or valid.")] = "test",
    checkpoint: Annotated[str, typer.Option(help="best, last, previous, or stage1: the best before plugins woke.")] = "best",
    data: Annotated[Path | None, typer.Option(help="Where the data set lies now; default: where the run says.")] = None,
    weights: Annotated[str | None, typer.Option(help="average (with trainer.ema, the default) or raw.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")] = False,
) -> None:
    """Rank every user's target, report by activity stratum, and compare runs under the gate."""
    if split not in ("test", "valid"):
        raise UserError(f"--split {split}: it must be test or valid")
    processes = detect()
    ours, words = split_runs(runs)
    meeting = meet(processes, _MEETING_SECONDS, say=note)  # kept to the end, for the process group goes on using its store
    with meeting.together() as held:
        configs = {folder: reopen(RunFolder(folder), words, data) for folder in [*ours, *(compare or [])]}
        for config in configs.values():
            refuse_weights(weights, config)
        held |= {"--weights": str(weights), **_held(configs, checkpoint)} if processes.world.size > 1 else {}
    with speaking(for_scripts=as_json) as screen:
        with process_group(processes):
            tables = {
                folder: _evaluated(folder, config, split, checkpoint, weights, processes) for folder, config in configs.items()
            }
        if processes.world.rank == 0:
            rivals = compare or []
            screen.answer(_show(Evaluated(split, ours, rivals, configs, tables), screen))


def _held(configs: dict[Path, RunConfig], checkpoint: str) -> dict[str, str]:
    """What every process must read alike, lest one table be ranked with two models."""
    held = code()
    for folder, config in configs.items():
        held |= {f"{key} of {folder}": value for key, value in settings(config).items()}
        held[f"the data set's digest of {folder}"] = Manifest.load(Path(config.data.path)).digest[:12]
        held[f"the checkpoint's digest of {folder}"] = sha256_file(whole_file(find_checkpoint(RunFolder(folder), checkpoint)))[:12]
    return held


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Runs with their tables.

    Attributes:
        split: that was ranked.
        ours: runs that are judged.
        rivals: runs they are held against.
        configs: of all.
        tables: by run and scorer, the model first.
    """

    split: str
    ours: list[Path]
    rivals: list[Path]
    configs: dict[Path, RunConfig]
    tables: dict[Path, dict[str, EvalTable]]

    def models(self, side: list[Path]) -> list[EvalTable]:
        """The models' tables of one side."""
        return [next(iter(self.tables[folder].values())) for folder in side]


def _show(evaluated: Evaluated, screen: Screen) -> dict[str, Any]:
    """Print a screenful, leave all of it as JSON beside the tables, and return what scripts get."""
    split, ours = evaluated.split, evaluated.ours
    summaries = {folder: _summarised(evaluated, folder) for folder in ours}
    first = summaries[ours[0]]
    if len(ours) > 1 and not evaluated.rivals:
        print_seeds([replace(next(iter(summaries[folder].values())), name=folder.name) for folder in ours], screen)
    verdict: dict[str, Any] = {"comparison": None, "gate": None}
    if evaluated.rivals:
        verdict = _compared(evaluated, first, screen)
    else:
        print_summaries(first, screen)
    if line := reach_line(evaluated.models(ours)[0], evaluated.configs[ours[0]].evaluation):
        screen.say(line, "dim")
    everyone = [*ours, *evaluated.rivals]
    for folder, table in zip(everyone, evaluated.models(everyone), strict=True):
        print_ranked(table, f" of {folder}" if len(everyone) > 1 else "", screen)
        if not evaluated.rivals:
            print_convergence(table, screen)
    screen.say(f"all metrics: {', '.join(str(RunFolder(folder).eval_summary(split)) for folder in ours)}")
    screen.say(f"user strata x items, curves: ltrec report {' '.join(map(str, [*ours, *evaluated.rivals]))}")
    runs = [_answer(folder, found, evaluated.models([folder])[0]) for folder, found in summaries.items()]
    return {"split": split, "runs": runs, "results": str(RunFolder(ours[0]).eval_summary(split)), **verdict}


def _summarised(evaluated: Evaluated, folder: Path) -> dict[str, Summary]:
    """A run's metrics, which are left as JSON beside its tables."""
    config, tables = evaluated.configs[folder].evaluation, evaluated.tables[folder]
    summaries = {name: summarise(table, config) for name, table in tables.items()}
    body = {name: {**summary.to_dict(), **_moment(tables[name])} for name, summary in summaries.items()}
    atomic_write_text(RunFolder(folder).eval_summary(evaluated.split), canonical_json(body))
    return summaries


def _moment(table: EvalTable) -> dict[str, Any]:
    """Which checkpoint was ranked, and with what memory, as JSON; nothing for a baseline."""
    return (
        {key: table.source[key] for key in ("asked", "checkpoint", KEY, MEMORY) if key in table.source}
        if KEY in table.source
        else {}
    )


def _compared(evaluated: Evaluated, first: Mapping[str, Summary], screen: Screen) -> dict[str, Any]:
    """Print the paired differences and the gate's verdict, and leave them as JSON in the first run's folder."""
    run, config = RunFolder(evaluated.ours[0]), evaluated.configs[evaluated.ours[0]]
    ours, theirs = evaluated.models(evaluated.ours), evaluated.models(evaluated.rivals)
    found = compare_tables(base=theirs, other=ours, config=config.evaluation)
    print_baselines(first, screen)
    print_comparison(found, screen)  # before the gate, which refuses groups too small to judge
    verdict = gate({config.data.path: pair(base=theirs, other=ours)}, config.evaluation)
    print_gate(verdict, screen)
    text = canonical_json({"comparison": found.to_dict(), "gate": verdict.to_dict()})
    path = run.eval_comparison(evaluated.split, evaluated.rivals[0].name)
    atomic_write_text(path, text)
    screen.say(f"the comparison in every metric: {path}")
    told: dict[str, Any] = json.loads(text)
    return told


def _answer(folder: Path, summaries: Mapping[str, Summary], table: EvalTable) -> dict[str, Any]:
    (model, own), *others = summaries.items()
    baselines = {name: groups_answer(summary) for name, summary in others}
    memory = table.source.get(MEMORY)
    return {"run": str(folder), "model": model, "memory": memory, "groups": groups_answer(own), "baselines": baselines}


def _evaluated(
    folder: Path, config: RunConfig, split: str, checkpoint: str, weights: str | None, processes: Processes
) -> dict[str, EvalTable]:
    with traceback_in(folder), StageBar(screen(), quiet=processes.world.rank > 0) as bar:

        def on_progress(what: str, done: int, total: int) -> None:
            bar.update(f"{folder.name}: {what}", done, total)

        files = evaluate_run(RunFolder(folder), split, checkpoint, processes, on_progress, config, weights=weights)
    return {name: EvalTable.read(path) for name, path in files.items()} if processes.world.rank == 0 else {}
