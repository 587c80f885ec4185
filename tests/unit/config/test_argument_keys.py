"""What the library says of its arguments, a run says of its keys."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltrec.config.keys.arguments import PREPARING, in_keys, speaking_keys
from ltrec.config.load import load
from ltrec.config.settle import leaf_keys
from ltrec.core.errors import UserError
from tests.support.source_tree import parsed, python_files

LIBRARY = (
    *("core", "columns", "models", "causal", "aggregation", "objectives", "data", "distributed", "strategy", "optim"),
    *("evaluation", "inference", "tracking", "terminal", "training"),
)
"""All layers beneath the config."""

RECORDS = ("ltrec/evaluation/training_facts.py",)
"""Files that read what a run has recorded of itself, by key."""

KEY = re.compile(
    r"(?<![`\w./])(?:stream|prepare|objective|emphasis|model|gradients|trainer|plugin|optim|evaluation|tracking|switch)\.[a-z_*]+"
)


def test_arguments_become_keys() -> None:
    said = "`batch_rows`=95 is not a multiple of `lanes`=6; `heads` and `calibrated` too"
    assert in_keys(said, load([], [])) == (
        "stream.batch_rows=95 is not a multiple of stream.lanes=6; model.heads and calibrated too"
    )


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["gradients=stratified", "gradients.prior=explicit"], "gradients.prior.shares"),
        (["gradients=aligned", "gradients.after_switch.prior=explicit"], "gradients.after_switch.prior.shares"),
        (["gradients=joint"], "shares"),
    ],
)
def test_a_key_is_where_the_config_has_it(words: list[str], key: str) -> None:
    assert in_keys("`shares` has 3 numbers", load([], words)) == f"{key} has 3 numbers"


def test_of_two_options_of_one_name_the_rules_is_meant() -> None:
    words = ["gradients=stratified", "gradients.rule=constant", "plugin=memory"]
    assert in_keys("`weights`", load([], words)) == "gradients.rule.weights"


def test_a_refusal_is_the_same_one_in_other_words() -> None:
    error = UserError("`lanes`=5")
    with pytest.raises(UserError, match=r"^stream\.lanes=5$") as caught, speaking_keys(load([], [])):
        raise error
    assert caught.value is error


def test_what_prepare_says_of_an_option_names_its_key() -> None:
    config = load([], [])
    first = {option.rpartition(".")[2]: option for option in reversed(list(leaf_keys(config.prepare)))}
    for argument, option in first.items():
        assert in_keys(f"raise `{argument}`", config, PREPARING) == f"raise prepare.{option}"
    with pytest.raises(UserError, match=r"^prepare\.where='a' and lanes$"), speaking_keys(config, PREPARING):
        raise UserError("`where`='a' and `lanes`")


@pytest.mark.parametrize(
    ("words", "section"),
    [(["plugin=bottleneck"], "plugin.switch"), (["plugin=memory", "plugin.trained=bottleneck"], "plugin.trained.switch")],
)
def test_what_the_switch_says_names_the_key_of_its_plugin(words: list[str], section: str) -> None:
    said = "`by`=plateau waits for validations; use `by`=epoch `at`=3"
    assert in_keys(said, load([], words)) == f"{section}.by=plateau waits for validations; use {section}.by=epoch {section}.at=3"


def texts(path: Path) -> Iterator[str]:
    """Every string in the code of a file but docstrings and the keys that registries are chosen by."""
    tree = parsed(path)
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Registry"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings | names:
            yield node.value


def test_the_library_speaks_no_keys() -> None:
    files = [path for path in python_files("ltrec") if path.parts[1] in LIBRARY and str(path) not in RECORDS]
    spoken = {str(path): [text for text in texts(path) if KEY.search(text)] for path in files}
    assert {path: found for path, found in spoken.items() if found} == {}
    assert KEY.search("lower trainer.threads") and not KEY.search("`trainer.threads`, on_trainer.x")
