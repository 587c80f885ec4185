"""Containers name files, versions and commands that exist. Nothing is built here: that takes an engine and a network."""

import re
import tomllib

import pytest
from packaging.specifiers import SpecifierSet

import ltrec
from ltrec.cli.main import COMMANDS
from tests.support.source_tree import ROOT, committed

RECIPES = ("docker/Dockerfile", "docker/Dockerfile.cpu", "docker/ltrec.def")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def text(name):
    return (ROOT / name).read_text()


def instructions(name):
    """(keyword, rest) of a Dockerfile, continued lines joined."""
    lines = re.sub(r"\\\n", " ", text(name)).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip() and not line.startswith("#")]


def copied(name):
    """What goes into the image, from the repository's root."""
    if name.endswith(".def"):
        section = text(name).partition("%files\n")[2].partition("\n\n")[0]
        return [line.split()[0] for line in section.splitlines()]
    return [word for keyword, rest in instructions(name) if keyword == "COPY" for word in rest.split()[:-1]]


def base(name):
    return re.search(r"^(?:FROM|From:) (\S+)$", text(name), re.MULTILINE)[1]


def test_there_is_a_recipe_for_every_file_and_a_file_for_every_recipe():
    assert {path.as_posix() for path in committed() if path.parts[0] == "docker"} == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_copied_exists_and_is_enough(name):
    assert [path for path in copied(name) if not (ROOT / path).exists()] == []
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", "constraints.txt", PYPROJECT["project"]["readme"], *wheel["packages"], *wheel["force-include"]}
    assert needed <= set(copied(name))


@pytest.mark.parametrize("name", RECIPES)
def test_the_base_is_pinned_and_is_the_python_that_the_tests_ran_with(name):
    assert base(name) == base(RECIPES[0])
    version = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-\w+", base(name))
    assert version, "an exact version, and the release below it"
    assert f"(Python {version[1]}," in text("constraints.txt").splitlines()[0]
    assert version[1] in SpecifierSet(PYPROJECT["project"]["requires-python"])


@pytest.mark.parametrize("name", RECIPES)
def test_every_install_is_held_to_the_constraints(name):
    installs = re.findall(r"pip install .*", re.sub(r"\\\n", " ", text(name)))
    assert len(installs) >= 2
    assert [line for line in installs if "-c constraints.txt" not in line] == []
    assert re.search(r"torch$", installs[0]), "torch goes first and alone, as in the Makefile"


@pytest.mark.parametrize("name", RECIPES)
def test_an_image_has_every_extra_of_all(name):
    [everything] = PYPROJECT["project"]["optional-dependencies"]["all"]
    wanted = set(re.findall(r"\w+", everything.partition("[")[2]))
    assert "wandb" in wanted
    assert set(re.findall(r'extras\["(\w+)"\]', text(name))) == wanted or "'.[all]'" in text(name)


@pytest.mark.parametrize("name", RECIPES[:2])
def test_the_code_comes_after_what_changes_seldom_and_nobody_is_root(name):
    steps = instructions(name)
    first_code = next(i for i, (keyword, rest) in enumerate(steps) if keyword == "COPY" and rest.split()[0] == "ltrec")
    last_download = max(i for i, (keyword, rest) in enumerate(steps) if keyword == "RUN" and "-r needed.txt" in rest)
    assert last_download < first_code
    users = [rest for keyword, rest in steps if keyword == "USER"]
    assert users and users[-1] not in ("root", "0")
    assert ("ENTRYPOINT", '["ltrec"]') in steps


def test_the_cpu_image_differs_in_torch_alone():
    gpu, cpu = ([line for line in instructions(name) if line[0] != "ENV" and "TORCH_INDEX=" not in line[1]] for name in RECIPES[:2])
    assert gpu == cpu
    [index] = re.findall(r"^ARG TORCH_INDEX=(\S+)$", text(RECIPES[1]), re.MULTILINE)
    assert f"TORCH_INDEX={index}" in text("Makefile")


@pytest.mark.parametrize("name", RECIPES)
def test_the_lines_on_how_to_use_it_name_what_there_is(name):
    comments = "\n".join(line for line in text(name).splitlines() if line.startswith("#"))
    assert f" {name}" in comments, "how to build it"
    assert set(re.findall(r"\bltrec:(\d+\.\d+\.\d+)", comments)) <= {ltrec.__version__}
    assert [path for path in re.findall(r"\b(?:docker|conf)/[\w./-]*\w", comments) if not (ROOT / path).is_file()] == []
    spoken = re.findall(r"(?:ltrec:\S+|\bsif ltrec|#   ltrec|then   ltrec) (\w+)", comments)
    assert [command for command in spoken if command not in COMMANDS] == []


def test_an_image_gets_what_is_named_and_no_more():
    lines = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*", "everything is left out first"
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert kept == {path for name in RECIPES for path in copied(name)}
