"""The script in an exported folder: answers do not depend on the company, and lists."""

from __future__ import annotations

import ast
import re
import runpy

import numpy as np
import pytest

from ltrec.artefact import recommend
from ltrec.artefact.bundle import script_text
from ltrec.artefact.recommend import Recommender
from ltrec.artefact.script.inputs import widths_of
from tests.support.serving import opened, random_histories
from tests.support.tiny_artefact import tiny_artefact


@pytest.fixture(scope="module")
def recommender(tmp_path_factory) -> Recommender:
    return opened(tiny_artefact(tmp_path_factory.mktemp("artefact") / "a")).recommender


def test_an_answer_is_the_same_bits_alone_and_in_any_company(recommender):
    histories = random_histories(70, longest=80)
    alone = [recommender([history])[0] for history in histories]
    draw = np.random.default_rng(1)
    for size in (2, 3, 9, 33, 70):
        chosen = draw.permutation(70)[:size]
        assert recommender([histories[n] for n in chosen]) == [alone[n] for n in chosen], size


def test_the_company_would_show_without_the_rectangles(recommender, monkeypatch):
    """Else the test above would hold of anything."""
    histories = random_histories(70, longest=80)
    monkeypatch.setattr(recommend, "rectangle", lambda arguments, rows, width: as_wide_as_they_are(arguments, rows))
    alone = [recommender([history])[0]["scores"] for history in histories]
    assert [answer["scores"] for answer in recommender(histories)] != alone


def test_the_scores_of_a_call_are_bounded_and_answers_the_same(recommender, monkeypatch):
    histories, rows = random_histories(70, longest=80), []
    whole, own = recommender(histories), recommender.program
    monkeypatch.setattr(recommend, "SCORES", 41 * 20)  # of 41 items: 20 rows
    monkeypatch.setattr(recommender, "program", lambda items, *more: rows.append(len(items)) or own(items, *more))
    assert recommender(histories) == whole and rows == [16, 16, 16, 16, 8]


def test_widths_depend_on_the_length_alone():
    lengths = [0, 15, 16, 63, 64, 255, 256, 5000]
    assert widths_of(np.array(lengths), 200).tolist() == [15, 15, 63, 63, 255, 255, 1023, 16383]
    assert widths_of(np.array(lengths), 50).tolist() == [15, 15, 255, 255, 255, 255, 1023, 16383]


def test_the_file_in_the_folder_is_the_modules_one_behind_another(tmp_path):
    text = script_text()
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(names) == len({*names}) and {"Recommender", "HistoryReader", "TorchProgram", "read_manifest", "main"} <= {*names}
    assert "ltrec." not in "".join(re.findall(r"^(?:from|import) .*$", text, re.MULTILINE)) and text.startswith('"""Recommend with')
    (tmp_path / "recommend.py").write_text(text)
    script = runpy.run_path(str(tmp_path / "recommend.py"))
    assert script["widths_of"](np.array([3]), 50).tolist() == [15] and script["__doc__"] == recommend.__doc__


def as_wide_as_they_are(arguments, rows):
    items, events, users = arguments
    return items[rows], {n: values[rows] for n, values in events.items()}, {n: values[rows] for n, values in users.items()}


def test_lists_of_a_history(recommender):
    [history] = random_histories(1, seed=5, longest=9)
    whole = recommender([history], 20)[0]
    third, last = whole["items"][2], whole["items"][19]
    chosen, denied, both, none = recommender(
        [
            {**history, "candidates": [last, "unknown", third]},
            {**history, "deny": [third, "unknown"]},
            {**history, "candidates": [last, third], "deny": [third]},
            {**history, "candidates": []},
        ],
        10,
    )
    assert chosen["items"] == [third, last] and chosen["scores"] == [whole["scores"][2], whole["scores"][19]]
    assert denied["items"] == [item for item in whole["items"] if item != third][:10]
    assert (both["items"], none["items"]) == ([last], [])
    for name in ("candidates", "deny"):
        with pytest.raises(ValueError, match=f"history 0: {name} must be a list of ids, as text"):
            recommender([{**history, name: [3]}])


def test_candidates_a_part_at_a_time_name_no_popular_item_twice(recommender, monkeypatch):
    """As a model that looks at every candidate (DIN) is asked; an empty history's list is of the part's items, too."""
    ids = np.arange(len(recommender.item_ids))
    monkeypatch.setitem(recommender.tables, "candidates", ids)
    empty = {"items": [], "time": [], "kind": []}
    whole = recommender([empty], 7)[0]
    own = recommender.program

    def of_a_part(items, events, users, tables):
        return own(items, events, users, {name: table for name, table in tables.items() if name != "candidates"})

    monkeypatch.setattr(recommender, "program", of_a_part)
    monkeypatch.setattr(recommender, "_pairs", 8 * 25)  # of 8 rows 25 candidates at a time: two parts
    assert recommender([empty], 7)[0] == whole and len({*whole["items"]}) == 7
