"""Shell completion of commands and their options.

    ltrec --install-completion bash      also zsh and fish; takes effect in the next shell
    ltrec --show-completion bash         print the script, to install it elsewhere

The script calls `ltrec` with LTREC_COMPLETE set. Options are read from the source of a command and of
`options.py`, since importing a command would load torch and take seconds. Arguments that are not options are left to the shell,
which completes file names.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ltrec.core.errors import UserError, nearest
from ltrec.core.storage.atomic import atomic_write_text

COMPLETE_VARIABLE = "LTREC_COMPLETE"
"""Variable set by the script: the index of the word to complete, 1 for the first after `ltrec`."""

_BASH = """\
_ltrec_complete() {
  local IFS=$'\\n'
  COMPREPLY=($(LTREC_COMPLETE=$COMP_CWORD ltrec "${COMP_WORDS[@]:1}" 2>/dev/null))
}
complete -o default -o bashdefault -F _ltrec_complete ltrec
"""

SCRIPTS = {
    "bash": _BASH,
    "zsh": f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{_BASH}",
    "fish": "complete -c ltrec -a "
    "'(env LTREC_COMPLETE=(count (commandline -opc)) ltrec (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'\n",
}

_GENERAL = ("--help", "--version", "--install-completion", "--show-completion")
_COMMANDS = Path(__file__).parent / "commands"
_SHARED = Path(__file__).parent / "options.py"


def candidates(words: Sequence[str], place: int, commands: Collection[str]) -> list[str]:
    """Possible completions of a word.

    Args:
        words: of the command line, after `ltrec`; the last may be incomplete.
        place: index of the word to complete, from 1.
        commands: all commands.
    """
    begun = words[place - 1] if place <= len(words) else ""
    if place <= 1:
        known: Collection[str] = [*commands, *(_GENERAL if begun.startswith("-") else ())]
    elif begun.startswith("-") and words[0] in commands:
        known = ["--help", *options_of(words[0])]
    else:
        known = []
    return [word for word in known if word.startswith(begun)]


def options_of(command: str) -> list[str]:
    """Options of a command, as Typer derives them from the arguments of its function."""
    tree = _parsed(_COMMANDS / f"{command}.py")
    aliases = _assigned(_parsed(_SHARED)) | _assigned(tree)
    [function] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == command]
    return [option for argument in function.args.args for option in _options(argument, aliases)]


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Name -> value of the assignments of a module."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _options(argument: ast.arg, aliases: Mapping[str, ast.expr]) -> Iterator[str]:
    hint = argument.annotation
    hint = aliases.get(hint.id, hint) if isinstance(hint, ast.Name) else hint
    for call in ast.walk(hint) if hint is not None else ():
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "Option":
            given = [name.value for name in call.args if isinstance(name, ast.Constant) and isinstance(name.value, str)]
            yield from given or [f"--{argument.arg.replace('_', '-')}"]


def script_of(shell: str) -> str:
    """The script of a shell.

    Raises:
        UserError: the shell is not supported.
    """
    if shell not in SCRIPTS:
        raise UserError(f"no completion for the shell {shell!r}{nearest(shell, SCRIPTS)}; known: {', '.join(SCRIPTS)}")
    return SCRIPTS[shell]


def shell_of(words: Sequence[str], variables: Mapping[str, str]) -> str:
    """The shell that is named, else the login shell."""
    return words[0] if words else Path(variables.get("SHELL", "bash")).name


def install(shell: str, variables: Mapping[str, str]) -> Path:
    """Write the script to where the shell finds it, and return the path. Idempotent.

    Raises:
        UserError: the shell is not supported.
    """
    text, home = script_of(shell), Path(variables.get("HOME", "~")).expanduser()
    if shell == "fish":
        place = Path(variables.get("XDG_CONFIG_HOME") or home / ".config") / "fish/completions/ltrec.fish"
        atomic_write_text(place, text)
        return place
    place = Path(variables.get("XDG_DATA_HOME") or home / ".local/share") / f"ltrec/completion.{shell}"
    atomic_write_text(place, text)
    startup, line = home / f".{shell}rc", f"source '{place}'"
    before = startup.read_text(encoding="utf-8") if startup.exists() else ""
    if line not in before.splitlines():
        with open(startup, "a", encoding="utf-8") as file:  # appended to rather than replaced: it may be a link
            file.write(f"{'' if not before or before.endswith(os.linesep) else os.linesep}{line}\n")
    return place
