"""The kit of an open project: workflows call what there is, and every file says the same of version, licence and address."""

import re
import tomllib

import pytest
import yaml

import ltrec
from tests.support.source_tree import ROOT, committed

WORKFLOWS = [path for path in committed() if path.parts[:2] == (".github", "workflows")]
FORMS = [path for path in committed() if path.parts[0] == ".github" and path.suffix == ".yml"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def loaded(path):
    return yaml.safe_load((ROOT / path).read_text())


def jobs():
    return [pytest.param(job, id=f"{path.stem}-{name}") for path in WORKFLOWS for name, job in loaded(path)["jobs"].items()]


def test_there_are_workflows_for_checks_and_for_releases():
    assert {path.stem for path in WORKFLOWS} == {"checks", "nightly", "release"}


@pytest.mark.parametrize("path", FORMS, ids=str)
def test_every_form_and_workflow_is_yaml(path):
    assert isinstance(loaded(path), dict)


@pytest.mark.parametrize("job", jobs())
def test_a_job_ends_by_itself_and_calls_what_the_makefile_has(job):
    assert job["timeout-minutes"] <= 180 and job["runs-on"].startswith("ubuntu-")
    words = " ".join([step.get("run", "") for step in job["steps"]])
    named = set(re.findall(r"\bmake ([a-z][\w-]*)", words)) | set(job.get("strategy", {}).get("matrix", {}).get("target", []))
    assert named <= TARGETS
    assert named or any("pypi-publish" in step.get("uses", "") for step in job["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_a_workflow_may_read_and_no_more_but_who_publishes(path):
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more == ({"publish": {"id-token": "write"}} if path.stem == "release" else {})
    assert "secrets." not in (ROOT / path).read_text(), "trusted publishing needs no token"


def test_the_tests_run_on_every_python_that_is_claimed():
    matrix = loaded(".github/workflows/checks.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    claimed = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.fullmatch(r".*Python :: 3\.\d+", line)]
    assert matrix == claimed
    assert PROJECT["requires-python"] == f">={claimed[0]}"


def test_lowest_bounds_docs_and_wheel_are_checked():
    text = (ROOT / ".github/workflows/checks.yml").read_text()
    assert {"test", "test-lowest", "docs", "wheel", "test-install"} <= set(re.findall(r"make ([\w-]+)", text))


def test_the_citation_is_of_this_version_and_licence():
    citation = loaded("CITATION.cff")
    assert citation["version"] == ltrec.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Homepage"]


def test_every_file_means_the_same_repository():
    named = {
        match
        for path in committed()
        if path.suffix in (".md", ".yml", ".cff", ".toml") and path.parts[0] != "tests"
        for match in re.findall(r"https://github\.com/[\w.-]+/ltrec\b", (ROOT / path).read_text())
    }
    assert named == {PROJECT["urls"]["Homepage"]}


def test_contributing_names_places_and_targets_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [path for path in re.findall(r"`((?:ltrec|conf|tests)/[\w./-]+)`", text) if not (ROOT / path).exists()] == []
    assert set(re.findall(r"make ([a-z][\w-]*)", text)) <= TARGETS
