"""README and docs/ keep their word: every command parses, every option exists, and the cheap commands run as they are written."""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path

import pytest
import typer

from ltrec.cli.main import COMMANDS, main
from ltrec.config.load import load, split_arguments
from tests.support.pages import MANUAL, PAGES, README, anchors, blocks, fenced, section, words_of
from tests.support.source_tree import ROOT, committed

PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")


def spoken(text: str) -> list[str]:
    """Commands in running text: `ltrec ...` between backticks, without those that stand for many (NAME, RUN...)."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [code for code in re.findall(r"`(ltrec [^`]+)`", prose) if not PLACEHOLDER.search(code)]


FENCED = sorted({line for line in fenced(MANUAL) if re.match(r"(ltrec|torchrun) ", line)})
LTREC = sorted({*FENCED, *spoken(MANUAL)})


@functools.cache
def parser(name: str):
    function = getattr(importlib.import_module(f"ltrec.cli.commands.{name}"), name)
    app = typer.Typer(add_completion=False)
    app.command(name)(function)
    return typer.main.get_command(app)


def test_there_are_commands():
    assert len(FENCED) > 15
    assert {words_of(line)[0] for line in FENCED} >= set(COMMANDS) - {"quickstart"}


@pytest.mark.parametrize("line", [line for line in LTREC if len(words_of(line)) > 1 and words_of(line)[0][0] != "-"])
def test_a_command_is_understood(line):
    name, *rest = words_of(line)
    assert name in COMMANDS
    parser(name).make_context(name, rest, resilient_parsing=False)


@pytest.mark.parametrize("line", [line for line in FENCED if words_of(line)[0] == "train" and "runs/mine" not in line])
def test_a_config_is_understood(line):
    files, words = split_arguments([w for w in words_of(line)[1:] if not w.startswith("--")])
    assert load(files, words).name


def test_every_command_has_its_row():
    rows = re.findall(r"^\| `ltrec (\w+)", README, re.MULTILINE)
    assert rows == list(COMMANDS)


def test_every_make_target_is_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", MANUAL, re.MULTILINE))
    assert named >= {"quickstart", "test"}
    assert named <= targets


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"`((?:ltrec|tests|conf|benchmarks)/[\w./-]+|[\w-]+\.(?:toml|md))`", MANUAL))
    named |= set(re.findall(r"conf/[\w/-]+\.yaml", MANUAL))
    assert len(named) > 6
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_top_of_the_tree_is_the_top_of_the_tree():
    [block] = [b for b in blocks(README, "") if b.startswith("ltrec/")]
    listed = {line.split("/")[0] for line in block.splitlines() if line and not line.startswith(" ")}
    real = {path.parts[0] for path in committed() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert real - {"docker", "slurm"} <= listed
    assert [name for name in listed if not (ROOT / name).is_dir()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """To a page or a file that is there, and to a heading of it."""
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / file).resolve().relative_to(ROOT).as_posix() if file else page
        if not (ROOT / target).exists() or (anchor and anchor not in anchors(PAGES.get(target, ""))):
            lost.append(link)
    assert lost == []


def test_the_readme_is_a_page_long():
    """Words outside of code blocks; what is longer belongs in docs/."""
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    assert len(prose.split()) < 1300


def commands_under(page: str, title: str) -> list[str]:
    return fenced(section(page, title))


def run(line: str, capsys) -> str:
    code = main(words_of(line))
    captured = capsys.readouterr()
    assert code == 0, f"{line}\n{captured.err}"
    return captured.out + captured.err


def test_own_data_goes_the_way_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"c{u},sku-{(u * 7 + n) % 23},{1_600_000_000 + 1000 * n + u}" for u in range(60) for n in range(3 + u % 9)]
    Path("log.csv").write_text("customer,sku,ts\n" + "\n".join(rows) + "\n")
    prepare, inspect, verify, train, evaluate, report = commands_under("docs/tutorial.md", "Your own log")
    assert "data/mine" in run(prepare, capsys)
    run(inspect, capsys)
    run(verify, capsys)
    assert "name: mine" in run(f"{train} --print-config", capsys)
    assert [words_of(line)[0] for line in (evaluate, report)] == ["evaluate", "report"]


def test_the_tour_begins_as_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fetch, prepare, *_ = commands_under("docs/tutorial.md", "A synthetic log first")
    run(fetch, capsys)
    run(prepare, capsys)
    assert Path("data/synthetic/manifest.json").exists()


def test_the_first_configs_print(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in [line for line in commands_under("docs/tutorial.md", "Settings") if line.endswith("--print-config")]:
        assert "objective:" in run(line, capsys)
