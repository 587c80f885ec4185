"""What is imported with its first use: every string names something, and nothing is loaded before."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ltrec
from ltrec.aggregation import RULES
from ltrec.causal.priors import PRIORS
from ltrec.core.errors import UserError
from ltrec.core.extension.deferred import Deferred, names_of
from ltrec.core.extension.extras import missing
from ltrec.core.extension.registry import Registry, Row
from ltrec.models.backbones import BACKBONES
from ltrec.models.plugins import PLUGINS
from ltrec.objectives import OBJECTIVES
from ltrec.objectives.emphasis import EMPHASES
from ltrec.optim import OPTIMIZERS

REGISTRIES = (RULES, PRIORS, BACKBONES, PLUGINS, OBJECTIVES, EMPHASES, OPTIMIZERS)
PACKAGES = (
    "aggregation",
    "data.stream",
    "models.backbones",
    "models.inputs",
    "models.plugins",
    "objectives",
    "objectives.emphasis",
    "optim",
)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.key)
def test_every_row_names_something_that_can_be_called_where_it_says(registry):
    deferred = {name: registry[name].build for name in registry if isinstance(registry[name].build, Deferred)}
    assert len(deferred) >= len(registry) - 1  # `none` of the plugins needs no module
    for name, build in deferred.items():
        found = build.resolve()
        assert callable(found) and found.__module__ == build.module == registry[name].module, name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_can_be_had(package):
    room = importlib.import_module(f"ltrec.{package}")
    assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_every_function_that_a_command_defers_is_there():
    """Written at the top of a module: a type checker sees the import beside it, the interpreter this."""
    root = Path(ltrec.__file__).parent
    files = [path for path in root.rglob("*.py") if "Deferred(" in path.read_text() and path.parent.name != "extension"]
    assert len(files) > 5
    for path in files:
        module = importlib.import_module(".".join(["ltrec", *path.relative_to(root).with_suffix("").parts]))
        deferred = {name: value for name, value in vars(module).items() if isinstance(value, Deferred)}
        assert deferred and all(value.name == name for name, value in deferred.items()), path
        there = [value for value in deferred.values() if not (".spark." in value.module and missing("spark"))]
        assert all(callable(value.resolve()) for value in there), path


def test_the_packages_above_are_all_that_load_names_late():
    root = Path(ltrec.__file__).parent
    late = [path.parent.relative_to(root) for path in root.rglob("__init__.py") if "names_of(" in path.read_text()]
    assert sorted(".".join(path.parts) for path in late) == sorted(PACKAGES)


def test_a_registered_string_is_imported_with_the_first_call(monkeypatch, tmp_path):
    (tmp_path / "built_late.py").write_text("def build(width):\n    return width + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("shape.name", Row)
    registry.register("late", build="built_late:build")
    assert "built_late" not in sys.modules and registry["late"].module == "built_late"
    assert registry["late"].build(2) == 3 and "built_late" in sys.modules
    monkeypatch.delitem(sys.modules, "built_late")


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (
            "ltrec.nowhere:build",
            r"^ltrec\.nowhere:build, named by a registered row, is not there \(No module named 'ltrec\.nowhere'\)$",
        ),
        ("ltrec.core.errors:nowhere", r"^ltrec\.core\.errors:nowhere, .*has no attribute 'nowhere'\)$"),
    ],
)
def test_a_row_that_names_what_is_not_there_is_one_line(build, line):
    registry = Registry("shape.name", Row)
    registry.register("lost", build=build)
    with pytest.raises(UserError, match=line):
        registry["lost"].build()


@pytest.mark.parametrize("build", ["", "ltrec.core.errors", "a b:c", "../models.py:Mine"])
def test_a_string_that_is_no_place_is_refused_at_once(build):
    with pytest.raises(UserError, match=r"^shape\.name=odd: build='.*' is no module:name, as in my_package\.models:Mine$"):
        Registry("shape.name", Row).register("odd", build=build)


def test_a_name_that_a_package_has_not_is_answered_as_always():
    load = names_of("ltrec", {"Registry": "ltrec.core.extension.registry"})
    with pytest.raises(AttributeError, match="module 'ltrec' has no attribute 'Registrie'"):
        load("Registrie")


def test_settings_are_read_without_torch():
    """Every variant's options are in the tree; none of them needs what it configures."""
    script = (
        "import sys; from ltrec.config.load import load; load(['conf/experiment/quickstart.yaml'], ['model=din', 'optim=sgd']);"
        "print(sorted({'torch', 'pytorch_lightning', 'duckdb', 'matplotlib', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
