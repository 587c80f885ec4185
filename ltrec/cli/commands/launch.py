"""`ltrec launch local|slurm CONF.yaml... key=value...`: torchrun on this machine, or a Slurm job that requeues itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ltrec.cli.options import Conf, Profile
from ltrec.config.load import load, split_arguments
from ltrec.config.tree import RunConfig
from ltrec.core.counting import counted
from ltrec.core.errors import UserError, nearest
from ltrec.core.extension.deferred import Deferred
from ltrec.launch.many_runs import expand_runs, seeds_of
from ltrec.launch.process_count import check_processes
from ltrec.launch.slurm import submit as slurm
from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.script import read_script
from ltrec.launch.slurm.setup_lines import stage_of
from ltrec.run.folder.config_file import folder_of
from ltrec.terminal.screen import note

if TYPE_CHECKING:
    from ltrec.launch.local import launch_one, launch_several
else:
    launch_one, launch_several = (Deferred(f"ltrec.launch.local:{name}") for name in ("launch_one", "launch_several"))

_WHERE = ("local", "slurm")
_MANY, _LOCAL, _SLURM = "Several runs", "local: this machine", "slurm: a cluster"


_Seeds = Annotated[str, typer.Option(help="One run per seed, 0-2 or 0,3,7, named NAME-seed0, ...", rich_help_panel=_MANY)]
_Sweep = Annotated[
    list[str],
    typer.Option(help="One run per file, such as conf/sweep/*.yaml; with seeds, one per pair.", rich_help_panel=_MANY),
]
_Jobs = Annotated[
    int,
    typer.Option(
        min=1,
        help="Runs at the same time. The GPUs, or the cores where there are none, are divided among them and never shared.",
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
        help="A shell line that the job runs before training, such as 'module load cuda/12.4'. Repeat for more. A line "
        "that fails ends the job.",
        rich_help_panel=_SLURM,
    ),
]
_Env = Annotated[
    list[str],
    typer.Option(
        help="NAME=value, exported in the job and inside the container. Repeat for more. Keys and passwords: export them "
        "before you submit.",
        rich_help_panel=_SLURM,
    ),
]
_Stage = Annotated[
    str | None,
    typer.Option(
        help="Copy the data to a disk of every node and train from there: a folder, or a variable that names one on the node, as "
        "in --stage '$SLURM_TMPDIR'. Every file is checked; the copy is removed when the job ends.",
        rich_help_panel=_SLURM,
    ),
]
_Container = Annotated[
    str,
    typer.Option(
        help="Image to train in: x.sif with Apptainer, any other with Pyxis. This folder and all paths of the runs are mounted.",
        rich_help_panel=_SLURM,
    ),
]
_Mount = Annotated[
    list[str],
    typer.Option(help="A further mount of the container: SRC, SRC:DST or SRC:DST:ro. Repeat for more.", rich_help_panel=_SLURM),
]


def launch(
    ctx: typer.Context,
    where: Annotated[str, typer.Argument(help="local or slurm", show_default=False)],
    conf: Conf,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be started and stop.")] = False,
    processes: Annotated[int, typer.Option(min=0, help="Processes on each node; 0 = one per GPU, or one on a CPU.")] = 0,
    max_restarts: Annotated[int, typer.Option(min=0, help="Restarts of crashed processes inside the job (torchrun).")] = 0,
    profile: Profile = 0,
    array_seeds: _Seeds = "",
    sweep: _Sweep = [],  # noqa: B006
    jobs: _Jobs = 1,
    nodes: Annotated[str, typer.Option(help="Nodes, or a range: 1-4.", rich_help_panel=_SLURM)] = "1",
    gpus_per_node: Annotated[int, typer.Option(help="GPUs per node; 0 = CPU only.", rich_help_panel=_SLURM)] = 1,
    cpus: Annotated[int, typer.Option(help="Cores per process.", rich_help_panel=_SLURM)] = 4,
    time: Annotated[str, typer.Option(help="Time limit of one attempt.", rich_help_panel=_SLURM)] = "04:00:00",
    notice: Annotated[int, typer.Option(help="Seconds before the limit to save and requeue.", rich_help_panel=_SLURM)] = 120,
    partition: Annotated[str, typer.Option(help="Partition.", rich_help_panel=_SLURM)] = "",
    account: Annotated[str, typer.Option(help="Account.", rich_help_panel=_SLURM)] = "",
    sbatch: _Sbatch = [],  # noqa: B006
    after: Annotated[str, typer.Option(help="Job that must succeed first: 1234.", rich_help_panel=_SLURM)] = "",
    setup: _Setup = [],  # noqa: B006
    env: _Env = [],  # noqa: B006
    stage: _Stage = None,
    container: _Container = "",
    mount: _Mount = [],  # noqa: B006
    python: Annotated[bool, typer.Option("--python", help="srun python, without torchrun.", rich_help_panel=_SLURM)] = False,
    script: Annotated[Path | None, typer.Option(help="Your version of train.sbatch.", rich_help_panel=_SLURM)] = None,
) -> None:
    """Start training on this machine under torchrun, or as a Slurm job that saves, requeues and resumes when its time is up.

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
    """Refuse options that only apply to the other target."""
    for option in ctx.command.params:
        if getattr(option, "rich_help_panel", None) == panel and _is_given(ctx, option.name or ""):
            raise UserError(f"{option.opts[0]} is for ltrec launch {panel.partition(':')[0]}; see ltrec launch --help")


def _local(options: dict[str, Any], given: set[str]) -> None:
    """Train on this machine."""
    files, overrides = split_arguments(options["conf"])
    common = {name: options[name] for name in ("processes", "max_restarts", "profile", "dry_run")}
    if given & {"array_seeds", "sweep"}:
        launch_several(_runs(options, given), jobs=options["jobs"], **common)
        return
    if "jobs" in given:
        raise UserError(f"--jobs {options['jobs']} is for several runs at a time: name them by --array-seeds or --sweep")
    launch_one(load(files, overrides), options["conf"], **common)


def _runs(options: dict[str, Any], given: set[str]) -> list[RunConfig]:
    seeds = seeds_of(options["array_seeds"]) if "array_seeds" in given else []
    return expand_runs(*split_arguments(options["conf"]), options["sweep"], seeds)


def _slurm(options: dict[str, Any], given: set[str]) -> None:
    """Show the job script, or write and submit it. Only the job id goes to stdout."""
    runs, name = _runs(options, given), load(*split_arguments(options["conf"])).name
    job = _job(options, given, on_cpu=all(run.trainer.accelerator == "cpu" for run in runs))
    if job.nodes.isdecimal():  # of a range Slurm decides later
        for run in runs:
            check_processes(run, int(job.nodes) * job.processes, requested=options["processes"] > 0)
    text = read_script(None if options["script"] is None else Path(options["script"]))  # text, before typer 0.29
    for line in slurm.mounts_of(job, runs).notes:
        note(line)
    if options["dry_run"]:
        typer.echo(slurm.script_of(text, job, runs, name=name), nl=False)
        return
    written = slurm.prepare(text, job, runs, name=name)
    number = slurm.submit(written, job)
    typer.echo(f"submitted {written}: {counted(len(runs), 'run')}, log in {folder_of(runs[0]).launch_log}; its job id", err=True)
    typer.echo(number)


def _job(options: dict[str, Any], given: set[str], *, on_cpu: bool) -> Job:
    """The job that the options describe. Training on the CPU requests no GPU by default, and one process."""
    gpus = 0 if on_cpu and "gpus_per_node" not in given else options["gpus_per_node"]
    same = ("nodes", "time", "notice", "partition", "account", "after", "container", "max_restarts", "profile")
    return Job(
        **{name: options[name] for name in same},
        gpus_per_node=gpus,
        processes_per_node=options["processes"] or int(on_cpu),
        cpus_per_process=options["cpus"],
        extra=tuple(options["sbatch"]),
        setup=tuple(options["setup"]),
        env=tuple(options["env"]),
        mount=tuple(options["mount"]),
        stage=stage_of(options["stage"]),
        form="python" if options["python"] else "torchrun",
    )
