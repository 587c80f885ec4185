"""House rules of the papers: README, configs, packaging. What is written must be what is there."""

import ast
import importlib
import re
import shlex
import tomllib

import pytest
from packaging.requirements import Requirement

from ltrec.cli.main import COMMANDS
from tests.support.pages import MANUAL
from tests.support.source_tree import ROOT, committed, python_files

PYPROJECT = ROOT / "pyproject.toml"
TABLES = {
    "BACKBONES": "ltrec.models.backbones",
    "OBJECTIVES": "ltrec.objectives",
    "RULES": "ltrec.aggregation",
    "EMPHASES": "ltrec.objectives.emphasis",
    "PLUGINS": "ltrec.models.plugins",
    "OPTIMIZERS": "ltrec.optim",
}


def requirements():
    """Everything that pyproject.toml asks for, but `all`, which names the other extras."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = project["optional-dependencies"].values()
    found = [Requirement(text) for text in (*project["dependencies"], *(text for extra in extras for text in extra))]
    return [requirement for requirement in found if requirement.name != project["name"]]


def constraints():
    lines = [line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_says_why():
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    reasoned = re.compile(r'"(?P<requirement>[^"]+)"\]?,?\s+#\s*\S+')
    with_reason = {m["requirement"] for line in PYPROJECT.read_text().splitlines() if (m := reasoned.search(line))}
    wanted = [*tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"], *(r for extra in extras.values() for r in extra)]
    assert [requirement for requirement in wanted if requirement not in with_reason] == []


def test_constraints_are_exact_versions_and_nothing_else():
    """No address, no local version label (+cpu): the same file serves every index and every kind of torch wheel."""
    exact = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+")
    assert [line for line in constraints() if not exact.fullmatch(line)] == []
    names = [canonical(line.split("==")[0]) for line in constraints()]
    assert len(names) == len(set(names))
    assert "torch==2.13.0" in constraints()


def test_constraints_pin_every_dependency_within_its_bound():
    pinned = {canonical(name): version for name, version in (line.split("==") for line in constraints())}
    outside = [str(r) for r in requirements() if canonical(r.name) not in pinned or pinned[canonical(r.name)] not in r.specifier]
    assert outside == []


def test_the_lowest_versions_are_those_that_the_bounds_name():
    """`make test-lowest` installs what pyproject.toml says is enough, for users; tools and further pins may be newer."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = [
        project["optional-dependencies"][extra] for extra in ("deepspeed", "gram", "report", "wandb", "export", "index", "serve")
    ]
    bounds = {}
    for requirement in map(Requirement, [*project["dependencies"], *(text for extra in extras for text in extra)]):
        [bounds[canonical(requirement.name)]] = [one.version for one in requirement.specifier if one.operator == ">="]
    lines = [line for line in (ROOT / "constraints-lowest.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert {name: pinned.get(name) for name in bounds} == bounds


def test_every_command_has_its_file_and_every_file_its_command():
    files = {path.stem for path in python_files("ltrec") if path.parts[1:3] == ("cli", "commands")} - {"__init__"}
    assert files == set(COMMANDS)


CONFIGS = [path for path in committed() if path.parts[0] == "conf" and path.suffix == ".yaml"]


def test_there_are_configs():
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_a_config_begins_with_the_command_that_runs_it(path):
    first = (ROOT / path).read_text().splitlines()[0]
    found = re.match(r"# (?:torchrun .* -m )?ltrec (\w+) ", first)
    assert found, f"line 1 of {path} is {first!r}, not '# ltrec COMMAND ... {path}'"
    assert found[1] in COMMANDS
    assert path.as_posix() in first.split(), "the command names another file"


def test_every_method_and_model_file_has_its_row_in_the_manual():
    folders = (ROOT / "conf" / "method", ROOT / "conf" / "model")
    files = [path.relative_to(folder).with_suffix("").as_posix() for folder in folders for path in sorted(folder.rglob("*.yaml"))]
    assert len(files) > 30
    assert [name for name in files if not re.search(rf"^\|.*`{re.escape(name)}` \|", MANUAL, re.MULTILINE)] == []


@pytest.mark.parametrize("table", TABLES)
def test_every_variant_has_its_unit_test_and_its_word_in_the_manual(table):
    package = TABLES[table]
    config_of = getattr(importlib.import_module(package), table).configs()
    config_of = {name: config for name, config in config_of.items() if name != "none" or table != "PLUGINS"}  # which makes nothing
    assert config_of
    tests = "\n".join((ROOT / p).read_text() for p in python_files("tests") if p.parts[1] == "unit")
    for name, config in config_of.items():
        home = config.__module__
        assert home.startswith(f"{package}."), f"{name} lives in {home}, not in a file of its own"
        spoken_of = re.search(rf'"{name}"|\b{re.escape(home)}\b|\b{config.__name__}\b', tests)
        assert spoken_of, f"no unit test speaks of {name} ({home})"
        assert f"`{name}`" in MANUAL, f"neither README nor docs/ mentions `{name}` of {table}"


def readme_text():
    assert (ROOT / "README.md").exists(), "README.md is missing"
    return (ROOT / "README.md").read_text(encoding="utf-8")


def fenced_blocks(text):
    return re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def tree_entries(block, root):
    """First-level names below the line `root` of a tree drawn with indentation, with or without box characters."""
    lines = [re.sub(r"[│├└─|`]", " ", line) for line in block.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [root])
    indent = [len(line) - len(line.lstrip()) for line in lines]
    entries, level = set(), None
    for i in range(start + 1, len(lines)):
        if not lines[i].strip():
            continue
        if indent[i] <= indent[start]:
            break
        level = level if level is not None else indent[i]
        if indent[i] == level:
            entries.add(lines[i].split()[0].rstrip("/"))
    return entries


def test_the_tree_in_the_readme_is_the_tree():
    """Under `ltrec/`: one line per folder and module (`__init__.py` and `py.typed` may be left out)."""
    [block] = [b for b in fenced_blocks(readme_text()) if re.search(r"^\W*ltrec/(\s|$)", b, re.MULTILINE)]
    silent = {"__init__.py", "py.typed"}
    real = {path.parts[1] for path in committed() if path.parts[0] == "ltrec"} - silent
    assert tree_entries(block, "ltrec/") - silent == real


def test_commands_in_the_readme_exist():
    lines = [line.strip().removeprefix("$ ") for block in fenced_blocks(readme_text()) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("ltrec ")]
    assert words, "README shows no command"
    assert [" ".join(w) for w in words if w[1] not in COMMANDS and not w[1].startswith("-")] == []


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {t for block in fenced_blocks(readme_text()) for t in re.findall(r"^\s*make ([\w-]+)", block, re.MULTILINE)}
    assert {"install", "quickstart", "test", "test-slow", "check", "bench", "clean", "help"} <= targets
    assert named <= targets


def test_the_version_is_in_the_changelog():
    [version] = [
        node.value.value
        for node in ast.parse((ROOT / "ltrec/version.py").read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"
    ]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert tomllib.loads(PYPROJECT.read_text())["project"]["license"] == "Apache-2.0"
