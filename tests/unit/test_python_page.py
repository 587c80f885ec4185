"""docs/python.md: what its code calls is there, and takes those arguments. That the calls work, tests of each and the tour show."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import pytest

import ltrec
from tests.support.source_tree import ROOT

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_has_code():
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_functions_exist_and_take_these_arguments(block):
    tree, known = ast.parse(block), {"ltrec": ltrec}
    for node in [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]:
        known |= {alias.name: getattr(importlib.import_module(node.module), alias.name) for alias in node.names}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[0] in known]
    assert calls
    for call in calls:
        function = eval(ast.unparse(call.func), known)
        inspect.signature(function).bind(*call.args, **{word.arg: word.value for word in call.keywords})


def test_names_in_prose_exist():
    for name in re.findall(r"`ltrec\.([A-Za-z_]+)`", PAGE):
        assert hasattr(ltrec, name), name
    for package in re.findall(r"`(ltrec(?:\.\w+)+)` \|", PAGE):
        assert importlib.import_module(package).__all__, package
