"""`ltrec launch local|slurm CONF.yaml... key=value...`: torchrun on this machine, or a Slurm job that requeues itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ltrec.config.load import load, split_arguments
from ltrec.config.tree import RunConfig
from ltrec.core.counting import counted
from ltrec.core.errors import UserError, nearest
from ltrec.launch import local as here
from ltrec.launch.many_runs import members, seeds_of
from ltrec.launch.processor_shares import refuse_world
from ltrec.launch.slurm import submit as slurm
from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.script import read_script
from ltrec.launch.slurm.setup_lines import stage_of
from ltrec.run.folder.config_file import folder_of
from ltrec.terminal.screen import note

_WHERE = ("local", "slurm")
_MANY, _LOCAL, _SLURM = "Several runs", "local: this machine", "slurm: a cluster"


_Seeds = Annotated[str, typer.Option(help="A run for each seed: 0-2, or 0,3,7. NAME-seed0, ...", rich_help_panel=_MANY)]
_Sweep = Annotated[
    list[str],
    typer.Option(
        help="A run for each of these files, such as conf/sweep/*.yaml; with seeds, for each pair.", rich_help_panel=_MANY
    ),
]
_Jobs = Annotated[
    int,
    typer.Option(
        min=1,
        help="How many of several runs at a time. The GPUs, or without any the cores, are divided among them and never shared.",
        rich_help_panel=_LOCAL,
    ),
]
_Sbatch = Annotated[
    list[str],
    typer.Option(
        help="One more option of sbatch, without dashes: qos=high, export=ALL,A=b. Repeat for more.", rich_help_panel=_SLURM
    ),
]
_Setup = Annotated[
    list[str],
    typer.Option(
        help="A shell line that the job runs before training, such as 'module load cuda/12.4'. Repeat for more; one that fails "
        "ends the job.",
        rich_help_panel=_SLURM,
    ),
]
_Env = Annotated[
    list[str],
    typer.Option(
        help="NAME=value, exported in the job and set inside the container, as it is written. Repeat for more. Keys and passwords: "
        "export them before you submit.",
        rich_help_panel=_SLURM,
    ),
]
_Stage = Annotated[
    str | None,
    typer.Option(
        help="Copy the data to a disk of every node and train from there: a folder, or a variable that names one on the node, as "
        "in --stage '$SLURM_TMPDIR'. Every file is checked; the copy goes when the job ends.",
        rich_help_panel=_SLURM,
    ),
]
_Container = Annotated[
    str,
    typer.Option(
        help="Train in an image: x.sif with Apptainer, any other with Pyxis. It sees this folder and what the runs need elsewhere.",
        rich_help_panel=_SLURM,
    ),
]
_Mount = Annotated[
    list[str],
    typer.Option(help="SRC, SRC:DST or SRC:DST:ro, which the container sees besides. Repeat for more.", rich_help_panel=_SLURM),
]


def launch(
    ctx: typer.Context,
    where: Annotated[str, typer.Argument(help="local or slurm", show_default=False)],
    conf: Annotated[list[str], typer.Argument(help="Config files, left to right, then key=value words.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be started and stop.")] = False,
    processes: Annotated[int, typer.Option(min=0, help="Processes on each node; 0 = one per GPU, or one on a CPU.")] = 0,
    max_restarts: Annotated[int, typer.Option(min=0, help="Restarts of crashed processes inside the job (torchrun).")] = 0,
    profile: Annotated[int, typer.Option(min=0, help="Record so many steps as a trace in the run folder.")] = 0,
    array_seeds: _Seeds = "",
    sweep: _Sweep = [],  # noqa: B006
    jobs: _Jobs = 1,
    nodes: Annotated[str, typer.Option(help="Nodes, or a range: 1-4.", rich_help_panel=_SLURM)] = "1",
    gpus_per_node: Annotated[int, typer.Option(help="GPUs of each node; 0 = CPU only.", rich_help_panel=_SLURM)] = 1,
    cpus: Annotated[int, typer.Option(help="Cores of each process.", rich_help_panel=_SLURM)] = 4,
    time: Annotated[str, typer.Option(help="Limit of one attempt.", rich_help_panel=_SLURM)] = "04:00:00",
    notice: Annotated[int, typer.Option(help="Seconds before the limit to save and requeue.", rich_help_panel=_SLURM)] = 120,
    partition: Annotated[str, typer.Option(help="Partition.", rich_help_panel=_SLURM)] = "",
    account: Annotated[str, typer.Option(help="Account.", rich_help_panel=_SLURM)] = "",
    sbatch: _Sbatch = [],  # noqa: B006
    after: Annotated[str, typer.Option(help="Job that must end well first: 1234.", rich_help_panel=_SLURM)] = "",
    setup: _Setup = [],  # noqa: B006
    env: _Env = [],  # noqa: B006
    stage: _Stage = None,
    container: _Container = "",
    mount: _Mount = [],  # noqa: B006
    python: Annotated[bool, typer.Option("--python", help="srun python, without torchrun.", rich_help_panel=_SLURM)] = False,
    script: Annotated[Path | None, typer.Option(help="Your version of train.sbatch.", rich_help_panel=_SLURM)] = None,
) -> None:
    """Start training here under torchrun, or as a Slurm job that saves, requeues and resumes when its time is over.

    \b
    ltrec launch local CONF... name=a                            on every GPU of this machine, or on its CPU
    ltrec launch local CONF... name=a --array-seeds 0-3 --jobs 2 four runs, two at a time, each in its own log
    ltrec launch slurm CONF... name=a --nodes 2 --gpus-per-node 8 --dry-run      shows the job script
    ltrec launch slurm CONF... name=a --setup 'module load cuda' --env NCCL_DEBUG=WARN --stage '$SLURM_TMPDIR'
    ltrec launch slurm CONF... name=a --container ltrec.sif --mount /project/logs --sweep conf/sweep/*.yaml
    """
    if where not in _WHERE:
        raise UserError(f"ltrec launch {where}: it must be local or slurm{nearest(where, _WHERE)}")
    _refuse_options_of(ctx, _SLURM if where == "local" else _LOCAL)
    (_local if where == "local" else _slurm)(ctx.params, {name for name in ctx.params if _is_given(ctx, name)})


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_options_of(ctx: typer.Context, panel: str) -> None:
    """Refuse options that only the other place honours."""
    for option in ctx.command.params:
        if getattr(option, "rich_help_panel", None) == panel and _is_given(ctx, option.name or ""):
            raise UserError(f"{option.opts[0]} is for ltrec launch {panel.partition(':')[0]}; see ltrec launch --help")


def _local(asked: dict[str, Any], given: set[str]) -> None:
    """Train on this machine."""
    files, words = split_arguments(asked["conf"])
    common = {name: asked[name] for name in ("processes", "max_restarts", "profile", "dry_run")}
    if given & {"array_seeds", "sweep"}:
        here.several(_runs(asked, given), jobs=asked["jobs"], **common)
        return
    if "jobs" in given:
        raise UserError(f"--jobs {asked['jobs']} is for several runs at a time: name them by --array-seeds or --sweep")
    here.one(load(files, words), asked["conf"], **common)


def _runs(asked: dict[str, Any], given: set[str]) -> list[RunConfig]:
    seeds = seeds_of(asked["array_seeds"]) if "array_seeds" in given else []
    return members(*split_arguments(asked["conf"]), asked["sweep"], seeds)


def _slurm(asked: dict[str, Any], given: set[str]) -> None:
    """Show the job, or write and submit it: its number, alone, is what goes to stdout."""
    runs, name = _runs(asked, given), load(*split_arguments(asked["conf"])).name
    job = _job(asked, given, on_cpu=all(run.trainer.accelerator == "cpu" for run in runs))
    if job.nodes.isdecimal():  # how many a range becomes, Slurm says later
        for run in runs:
            refuse_world(run, int(job.nodes) * job.processes, asked=asked["processes"] > 0)
    text = read_script(None if asked["script"] is None else Path(asked["script"]))  # text, before typer 0.29
    for line in slurm.seen_by(job, runs).notes:
        note(line)
    if asked["dry_run"]:
        typer.echo(slurm.script_of(text, job, runs, name=name), nl=False)
        return
    written = slurm.prepare(text, job, runs, name=name)
    number = slurm.submit(written, job)
    typer.echo(f"submitted {written}: {counted(len(runs), 'run')}, log in {folder_of(runs[0]).launch_log}; its job id", err=True)
    typer.echo(number)


def _job(asked: dict[str, Any], given: set[str], *, on_cpu: bool) -> Job:
    """What the options ask of Slurm; who trains on the CPU asks for no GPU by default, and for one process."""
    gpus = 0 if on_cpu and "gpus_per_node" not in given else asked["gpus_per_node"]
    same = ("nodes", "time", "notice", "partition", "account", "after", "container", "max_restarts", "profile")
    return Job(
        **{name: asked[name] for name in same},
        gpus_per_node=gpus,
        processes_per_node=asked["processes"] or int(on_cpu),
        cpus_per_process=asked["cpus"],
        extra=tuple(asked["sbatch"]),
        setup=tuple(asked["setup"]),
        env=tuple(asked["env"]),
        mount=tuple(asked["mount"]),
        stage=stage_of(asked["stage"]),
        form="python" if asked["python"] else "torchrun",
    )
