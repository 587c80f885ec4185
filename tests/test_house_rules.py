"""House rules of the code: size, names, imports, start-up. Each rule lists its offenders, so a failure says what to do."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections import Counter

import pytest
from packaging.requirements import Requirement

from ltrec.core.extension.extras import EXTRAS
from tests.support.source_tree import ROOT, committed, functions, imports, module_name, parsed, python_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

LAZY = {
    "ltrec/cli/main.py": "loads a command's module when it is called, so that --help needs no torch",
    "ltrec/aggregation/torchjd.py": "torchjd and its solvers take half a second, and most rules do without them",
    "ltrec/api/report.py": "matplotlib and jinja2 are an extra, and runs do without a report",
    "ltrec/tracking/wandb.py": "wandb takes a second to import, and most runs do without it",
}
"""Files that may import inside a function, with the reason."""

LARGEST_FILE_BYTES = 500_000


def import_name(requirement):
    """The module that a line of pyproject.toml brings."""
    name = Requirement(requirement).name.lower()
    return {"pytorch-lightning": "pytorch_lightning", "pyyaml": "yaml", "prometheus-client": "prometheus_client"}.get(name, name)


def body_lines(function):
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def test_no_file_is_longer_than_300_lines():
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in python_files("ltrec", "tests", "benchmarks")}
    assert {path: n for path, n in lengths.items() if n > 300} == {}


def test_no_function_is_longer_than_40_lines():
    found = {
        f"{path}:{function.lineno} {function.name}": body_lines(function)
        for path in python_files("ltrec", "benchmarks", "tests")
        for function in functions(parsed(path))
    }
    assert {name: n for name, n in found.items() if n > 40} == {}


def test_no_folder_has_more_than_16_modules():
    """A folder is a list that one reads at a glance; 15 modules and `__init__`."""
    folders = Counter(str(path.parent) for path in python_files("ltrec"))
    assert {folder: n for folder, n in folders.items() if n > 16} == {}


def test_no_drawer_modules():
    drawers = {"util", "utils", "helper", "helpers", "common", "misc", "tools"}
    assert [str(path) for path in python_files("ltrec", "tests", "benchmarks") if drawers & {*path.parts, path.stem}] == []


def test_no_rule_is_switched_off_for_a_whole_file():
    whole = re.compile(r"^\s*#\s*(ruff|flake8|mypy|type):\s*(noqa|ignore)", re.MULTILINE)
    assert [str(path) for path in python_files("ltrec") if whole.search((ROOT / path).read_text())] == []


def test_no_import_hides_in_a_function():
    found = {
        f"{path}:{line} {module}"
        for path in python_files("ltrec")
        if str(path) not in LAZY
        for function in functions(parsed(path))
        for line, module, _ in imports(function)
    }
    assert found == set()


def test_no_import_cycle():
    """Over modules; `from package import name` is an import of the module `package.name` where there is one, else of `package`."""
    modules = {module_name(path): path for path in python_files("ltrec")}
    graph = {name: set() for name in modules}
    for name, path in modules.items():
        for _, module, names in imports(parsed(path)):
            targets = {f"{module}.{n}" if f"{module}.{n}" in modules else module for n in names} or {module}
            graph[name] |= targets & set(modules)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_the_roof_prints():
    """Rooms return values and call back; the roof and the terminal speak to the user."""
    talks = {"print", "input", "breakpoint"}
    found = [
        f"{path}:{node.lineno}"
        for path in python_files("ltrec")
        if path.parts[1] not in {"cli", "launch", "doctor", "terminal"}
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in talks
    ]
    assert found == []


def test_what_is_printed_is_text_and_never_markup():
    """A user may call a run `[/x]`: consoles are made in one place, and columns of bars are told."""
    found = [
        f"{path}:{node.lineno}"
        for path in python_files("ltrec")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if (node.func.id == "Console" and path.name != "console.py")
        or (node.func.id == "TextColumn" and not any(k.arg == "markup" and k.value.value is False for k in node.keywords))
    ]
    assert found == []


def test_the_package_imports_only_itself_and_what_it_declares():
    """The core's libraries anywhere, those of the extras where import-linter lets them (pyproject.toml)."""
    optional = {module for modules in EXTRAS.values() for module in modules}
    allowed = {import_name(line) for line in PROJECT["dependencies"]} | optional | {"ltrec"} | sys.stdlib_module_names
    found = {
        f"{path}:{line} {module}"
        for path in python_files("ltrec")
        for line, module, _ in imports(parsed(path))
        if module.split(".")[0] not in allowed
    }
    assert found == set()


def test_every_extra_of_the_package_is_one_that_the_code_can_ask_for():
    """`all` gathers them, but for `spark`, which needs Java; `dev` and `docs` are for who works on ltrec. Solvers come with
    torchjd's own extras."""
    declared = {extra: lines for extra, lines in PROJECT["optional-dependencies"].items() if extra not in ("all", "dev", "docs")}
    assert set(declared) == set(EXTRAS)
    [everything] = PROJECT["optional-dependencies"]["all"]
    assert Requirement(everything).extras == set(EXTRAS) - {"spark"}
    solvers = {"qpsolvers", "quadprog"}
    assert {e: set(map(import_name, lines)) for e, lines in declared.items()} == {e: set(m) - solvers for e, m in EXTRAS.items()}


def test_a_todo_names_its_issue():
    words = "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"))
    lonely = re.compile(rf"\b({words})\b(?! \(#\d+\))")
    found = [f"{path}:{n}" for path, n, line in text_lines(".py", ".yaml", ".toml", ".md", ".sh", ".j2") if lonely.search(line)]
    assert found == []


def test_no_file_names_a_path_of_somebodys_machine():
    """The words are cut in two here so that this file obeys its own rule."""
    machines = (r"(?<![\w.])/wo" + r"rk(?![\w-])", "/opt/" + "(pypi|wheels)", r"/ho" + r"me/(?!u/)\w+/", "/Us" + "ers/")
    paths = re.compile("|".join(machines))
    found = [f"{path}:{n} {line.strip()}" for path, n, line in text_lines("") if paths.search(line)]
    assert found == []


def test_no_large_file():
    large = [str(path) for path in committed() if (ROOT / path).stat().st_size > LARGEST_FILE_BYTES]
    assert large == []


def text_lines(*suffixes):
    """(path, line number, line) of every committed text file with one of the suffixes."""
    for path in committed():
        if path.name.endswith(suffixes) and b"\0" not in (content := (ROOT / path).read_bytes()):
            yield from ((path, n, line) for n, line in enumerate(content.decode("utf-8").splitlines(), 1))


@pytest.mark.parametrize(
    "start",
    ["import ltrec", "from ltrec.cli.main import main; main(['--help'])", "from ltrec.cli.main import main; main([])"],
    ids=["import ltrec", "ltrec --help", "ltrec"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(start):
    heavy = {"torch", "pytorch_lightning", "wandb", "matplotlib", "duckdb", "pyarrow", "numpy", "omegaconf"}
    script = f"import sys\ntry:\n    {start}\nexcept SystemExit:\n    pass\nprint('LOADED', sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
