"""`import ltrec`: instant, and complete for people, editors and type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import ltrec
from tests.support.source_tree import ROOT

VERBS = {"fetch", "prepare", "report", "verify"}


def test_every_public_name_is_there_and_is_listed():
    for name in ltrec.__all__:
        assert getattr(ltrec, name) is not None
        assert name in dir(ltrec)
    assert set(ltrec.__all__) >= VERBS and all(callable(getattr(ltrec, name)) for name in VERBS)


def test_dir_shows_the_public_names_and_no_others():
    assert dir(ltrec) == sorted({*ltrec.__all__, "aggregation", "models", "objectives", "strategy"})


def test_verbs_are_functions_whatever_was_imported_before():
    """A module of the same name (`ltrec.api.report`) must never take the function's place."""
    code = "import ltrec.api.report, ltrec; ltrec.report; import ltrec.api.report as m; print(callable(ltrec.report), callable(m))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True False\n"


def test_a_public_name_has_a_page_of_help():
    assert [name for name in ltrec.__all__ if name != "__version__" and not getattr(ltrec, name).__doc__] == []


def test_type_checkers_see_what_python_loads():
    """The block for type checkers and the table for `__getattr__` name the same things at the same homes."""
    tree = ast.parse((ROOT / "ltrec/__init__.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)]
    seen = {alias.asname or alias.name: node.module for node in block.body for alias in node.names}
    assert seen == ltrec._HOMES
    assert set(ltrec.__all__) == {*seen, "__version__"}


def test_public_rooms_come_with_the_package():
    code = "import ltrec; print(*(getattr(ltrec, room).__name__ for room in ltrec._ROOMS))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "ltrec.aggregation ltrec.models ltrec.objectives ltrec.strategy\n"


def test_without_any_extra_every_name_is_there_and_a_report_says_what_is_missing():
    code = """if True:
        import sys
        for name in ("jinja2", "deepspeed", "torchjd", "wandb"):
            sys.modules[name] = None
        import ltrec
        for name in ltrec.__all__:
            getattr(ltrec, name)
        try:
            ltrec.report("nowhere")
        except ltrec.UserError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "the report needs jinja2: pip install 'ltrec[report]'\n", done.stderr


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'ltrec' has no attribute 'trian'"):
        ltrec.trian  # noqa: B018
