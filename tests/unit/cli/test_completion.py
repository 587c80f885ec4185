"""Tab: commands and options, in the shells themselves where they are installed, and without loading torch."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import typer

from ltrec.cli import completion
from ltrec.cli.main import COMMANDS, main
from tests.support.commands import environment


def complete(monkeypatch, capsys, *words: str) -> list[str]:
    monkeypatch.setenv(completion.COMPLETE_VARIABLE, str(len(words)))
    assert main(list(words)) == 0
    return capsys.readouterr().out.splitlines()


def test_the_first_word_is_a_command(monkeypatch, capsys):
    assert complete(monkeypatch, capsys, "") == list(COMMANDS)
    assert sorted(complete(monkeypatch, capsys, "pre")) == ["predict", "prepare"]
    assert complete(monkeypatch, capsys, "--v") == ["--version"]
    assert complete(monkeypatch, capsys, "nope") == []


def test_words_with_a_dash_are_options_of_the_command(monkeypatch, capsys):
    assert complete(monkeypatch, capsys, "train", "conf/x.yaml", "--") == [
        "--help",
        "--print-config",
        "--smoke",
        "--profile",
        "--resume",
        "--json",
    ]
    assert {"--k", "-k", "--weights"} <= {*complete(monkeypatch, capsys, "predict", "-")}
    assert "--array-seeds" in complete(monkeypatch, capsys, "launch", "local", "--a")
    assert complete(monkeypatch, capsys, "train", "conf/") == [], "files are the shell's"
    assert complete(monkeypatch, capsys, "nope", "--") == []


@pytest.mark.parametrize("name", ["prepare", "launch", "evaluate", "predict", "train"])
def test_options_read_from_the_source_are_those_of_typer(name):
    """Read by the test as Typer reads them; the command's module is imported here alone."""
    module = __import__(f"ltrec.cli.commands.{name}", fromlist=[name])
    app = typer.Typer(add_completion=False)
    app.command(name)(getattr(module, name))
    wanted = [option for p in typer.main.get_command(app).params if p.param_type_name == "option" for option in p.opts]
    assert completion.options_of(name) == [option for option in wanted if option != "--help"]


def test_an_option_of_several_commands_is_written_once():
    """In ltrec/cli/options.py, from where commands take it."""
    written = Counter(
        ast.unparse(call)
        for path in completion._COMMANDS.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("typer.Option", "typer.Argument")
    )
    assert [option for option, count in written.items() if count > 1] == []


def test_completion_imports_nothing_heavy():
    code = (
        "import sys; from ltrec.cli.main import main; main(['train', '--']);"
        "print({'torch', 'numpy', 'omegaconf', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(LTREC_COMPLETE="2"), capture_output=True, text=True, check=True
    )
    assert done.stderr == "set()\n" and "--smoke" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installing_twice_changes_nothing(shell, tmp_path, monkeypatch, capsys):
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / f".{shell}rc").write_text("alias x=y")
    assert main(["--install-completion", shell]) == main(["--install-completion", shell]) == 0
    assert capsys.readouterr().out.count(f"completion for {shell}: {tmp_path}/") == 2
    startup = (tmp_path / f".{shell}rc").read_text().splitlines()
    assert startup[0] == "alias x=y" and len(startup) == (1 if shell == "fish" else 2)
    assert main(["--show-completion", shell]) == 0 and capsys.readouterr().out == completion.SCRIPTS[shell]


def test_the_login_shell_is_the_default(monkeypatch, capsys):
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert main(["--show-completion"]) == 0 and "bashcompinit" in capsys.readouterr().out
    assert main(["--show-completion", "bsh"]) == 2
    assert "did you mean 'bash'" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_itself_completes(tmp_path):
    """The function that the script defines, called as bash calls it, with `ltrec` on the path."""
    command = tmp_path / "ltrec"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ltrec "$@"\n')
    command.chmod(0o755)
    ask = 'COMP_WORDS=(ltrec ver); COMP_CWORD=1; _ltrec_complete; printf "%s|" "${COMPREPLY[@]}"'
    variables = environment()
    variables["PATH"] = f"{tmp_path}:{variables['PATH']}"
    done = subprocess.run(
        ["bash", "-c", completion.SCRIPTS["bash"] + ask], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout == "verify|"
