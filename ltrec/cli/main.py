"""The command line: `ltrec COMMAND ...`.

A command is the function of its name in `ltrec/cli/commands/<name>.py`. Its module is imported only when it is called, so
that `ltrec --help` answers at once. Typer parses the arguments; the function then runs outside of Typer, so that all errors are
handled in one place (`failures.py`).
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from ltrec.cli import completion
from ltrec.cli.failures import exit_code_of
from ltrec.core.errors import UserError, nearest
from ltrec.run.process.cores import set_thread_variables
from ltrec.run.process.rendezvous_env import check_ranks
from ltrec.run.process.standard_streams import prepare_streams, quiet_libraries
from ltrec.version import __version__

COMMANDS = {
    "quickstart": "everything on a small public data set: a report in minutes",
    "fetch": "get a public data set, or make a synthetic one",
    "prepare": "event logs (CSV, TSV, JSONL, Parquet) -> shards with strata and splits",
    "inspect": "what is in a prepared data set: events, strata, columns",
    "verify": "check every byte of a prepared data set",
    "plan": "what a step costs on other machines: memory, bytes, seconds, what will not fit",
    "train": "train a run from YAML files and key=value overrides; repeat to resume",
    "launch": "train under torchrun here, or as a Slurm job that requeues itself",
    "evaluate": "full ranking by activity stratum, with intervals; --compare runs",
    "predict": "top-k items per user, as Parquet",
    "export": "the run as one folder that runs without ltrec",
    "serve": "an exported model behind HTTP",
    "index": "nearest neighbours among item vectors, with recall by stratum",
    "report": "one HTML page with plots, for one run or several",
    "doctor": "check what this machine can run, and how to fix what it cannot",
}
"""Every command with its purpose, in the order of the work."""

_WRONG_USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")  # of Typer's Click

HELP = f"""\
ltrec {__version__}: sequential recommenders that serve tail users well and keep the head

usage: ltrec COMMAND [ARGUMENTS]        ltrec COMMAND --help shows its options

start here
{{first}}

the work, in order
{{rest}}

examples
  ltrec quickstart
  ltrec fetch ml-100k --out data/raw/ml-100k
  ltrec prepare conf/data/ml-100k.yaml
  ltrec prepare 'logs/*.csv' --out data/mine user=customer min_item_events=5
  ltrec train conf/data/ml-100k.yaml conf/experiment/quickstart.yaml name=mine optim.lr=5e-4
  ltrec train conf/data/ml-100k.yaml conf/experiment/quickstart.yaml --print-config
  ltrec plan conf/model/sasrec.yaml conf/method/pin.yaml --items 1000000 --nodes 4 --gpus-per-node 8
  torchrun --nproc-per-node 2 -m ltrec train conf/data/ml-100k.yaml conf/experiment/quickstart.yaml
  ltrec launch slurm conf/data/ml-100k.yaml conf/experiment/quickstart.yaml --nodes 2 --gpus-per-node 8 --dry-run
  ltrec evaluate runs/mine --compare runs/other
  ltrec report runs/mine runs/other
  torchrun --nproc-per-node 2 -m ltrec doctor

Tab completes commands and options after ltrec --install-completion (bash, zsh, fish). All of this from Python: import ltrec.
Every setting of a run: defaults <- YAML files, left to right <- key=value overrides. Shipped files are found from any folder.
Exit code 2 means that input or settings need a change; one line says which (LTREC_DEBUG=1 adds the traceback). 130 = interrupted,
70 = a bug of ltrec; the line names a file with the traceback.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` default to those of the process."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        prepare_streams()
        with quiet_libraries():
            code = dispatch(arguments)
        sys.stdout.flush()  # a closed pipe raises here, not when the interpreter exits
        return code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the one place that handles all errors
        return exit_code_of(error, arguments)


def dispatch(arguments: Sequence[str]) -> int:
    """Answer `--help` and `--version`, or run a command.

    Raises:
        UserError: the command is unknown, or whatever the command raises.
    """
    if (place := os.environ.get(completion.COMPLETE_VARIABLE, "")).isdecimal():
        sys.stdout.writelines(f"{word}\n" for word in completion.candidates(arguments, int(place), COMMANDS))
        return 0
    if not arguments:
        sys.stderr.write(help_text())
        return 2
    first = arguments[0]
    if first in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0
    if first in ("-V", "--version"):
        sys.stdout.write(f"ltrec {__version__}\n")
        return 0
    if first in ("--install-completion", "--show-completion"):
        return complete(first, arguments[1:])
    if first not in COMMANDS:
        raise UserError(f"unknown command {first!r}{nearest(first, COMMANDS)}; known: {', '.join(COMMANDS)}")
    check_ranks(os.environ)
    return run(first, arguments[1:])


def complete(what: str, arguments: Sequence[str]) -> int:
    """Show the completion script of a shell, or install it.

    Raises:
        UserError: the shell is not supported.
    """
    shell = completion.shell_of(arguments, os.environ)
    if what == "--show-completion":
        sys.stdout.write(completion.script_of(shell))
    else:
        sys.stdout.write(f"completion for {shell}: {completion.install(shell, os.environ)}; it works in the next shell\n")
    return 0


def help_text() -> str:
    """The output of `ltrec --help`."""
    rows = [f"  {name:<12}{what}" for name, what in COMMANDS.items()]
    return HELP.format(first=rows[0], rest="\n".join(rows[1:]))


def run(name: str, arguments: Sequence[str]) -> int:
    """Parse the arguments of a command and call it. The number of threads is set before the command imports torch."""
    if name != "launch":  # it sets those of the processes that it starts
        set_thread_variables(os.environ)
    function = getattr(importlib.import_module(f"ltrec.cli.commands.{name}"), name)
    code, options = parse(name, function, arguments)
    if options is None:
        return code
    function(**options)
    return 0


def parse(name: str, function: Callable[..., None], arguments: Sequence[str]) -> tuple[int, dict[str, Any] | None]:
    """Parse the arguments; None, with an exit code, when Typer has printed the answer itself (`--help`: 0).

    Raises:
        UserError: wrong usage.
    """
    calls: list[dict[str, Any]] = []

    @functools.wraps(function)
    def record(**options: Any) -> None:
        calls.append(options)

    app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.command(name)(record)
    try:
        code = typer.main.get_command(app).main(repeat_option(arguments), prog_name=f"ltrec {name}", standalone_mode=False)
    except _WRONG_USAGE as error:
        raise UserError(f"ltrec {name}: {error.format_message()} ('ltrec {name} --help' shows the options)") from None
    return (0, calls[0]) if calls else (int(code or 0), None)


def repeat_option(arguments: Sequence[str], option: str = "--sweep") -> list[str]:
    """`--sweep a.yaml b.yaml` -> `--sweep a.yaml --sweep b.yaml`: as a shell expands `--sweep conf/sweep/*.yaml`.

    The list ends at the next option or `key=value` override.
    """
    result: list[str] = []
    inside = False
    for word in arguments:
        inside = word == option or (inside and not word.startswith("-") and "=" not in word)
        result += [option, word] if inside and word != option and result[-1] != option else [word]
    return result
