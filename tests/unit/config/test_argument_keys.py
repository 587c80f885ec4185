"""What the library says of its arguments, a run says of its keys."""

from __future__ import annotations

import re

import pytest

from ltrec.config.argument_keys import in_keys, speaking_keys
from ltrec.config.load import load
from ltrec.core.errors import UserError
from tests.support.source_tree import ROOT, python_files

LIBRARY = ("core", "models", "causal", "aggregation", "objectives", "distributed", "strategy", "optim")
SPOKEN = re.compile(r"[^`\w](?:stream|objective|emphasis|model|gradients|trainer|plugin|optim)\.[a-z_]+=")


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


def test_the_library_speaks_no_keys() -> None:
    spoken = {}
    for path in python_files("ltrec"):
        if path.parts[1] in LIBRARY or path.parts[1:3] == ("data", "stream"):
            lines = (ROOT / path).read_text().splitlines()
            literals = [word for line in lines if '"""' not in line for word in re.findall(r'f?r?("[^"]*")', line)]
            if found := [word for word in literals if SPOKEN.search(word)]:
                spoken[str(path)] = found
    assert spoken == {}
