"""Damaged folders and wrong histories: one line from the folder's own script, and nothing half-answered."""

from __future__ import annotations

import json
import math
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.artefact.folder import export_run
from ltrec.artefact.formats import FORMATS
from ltrec.artefact.recommend import Recommender, read_manifest
from ltrec.artefact.request import ExportRequest
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.build.components import open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.detect import detect
from ltrec.run.train import train
from tests.support.inputs import column_data
from tests.support.tiny_run import tiny_words

FILES = [
    "README.md",
    "artefact.json",
    "config.json",
    "event-type.arrow",
    "items.arrow",
    "model.safetensors",
    "program.pt2",
    "recommend.py",
]
GOOD = {"items": ["i1", "i2"], "type": ["type-2", None], "dwell": [1.0, None], "time": [0, 600], "age": 31}


class Saved:
    """A program that need not be traced: it is kept in the process, and its file is a word."""

    kept: ClassVar[dict[str, object]] = {}

    @staticmethod
    def save(program, arguments, path: Path) -> None:
        path.write_bytes(b"program")
        Saved.kept["program"] = program

    @staticmethod
    def load(path: Path):
        assert path.read_bytes() == b"program"
        return Saved.kept["program"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    place = tmp_path_factory.mktemp("broken")
    words = ["inputs.items=[all]", "inputs.events=[all,time_gap]", "inputs.users=[all]", "trainer.max_epochs=1"]
    return RunFolder(train(load([], tiny_words(column_data(place / "data"), place / "runs", *words))).path)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    """A whole folder but for the program, whose tracing takes seconds."""
    request = ExportRequest(tmp_path_factory.mktemp("exported") / "model", "torch", 5, table="int8", hub=True)
    write(run, request, Saved.load)
    return request.out


def write(run: RunFolder, request: ExportRequest, opens) -> None:
    """Export without tracing."""
    config = reopen(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, "torch", replace(FORMATS["torch"], save=Saved.save, load=opens))
        export_run(run, config, open_data(config), find_checkpoint(run, "best"), request, detect())


@pytest.fixture
def recommend(exported, monkeypatch) -> Recommender:
    monkeypatch.setattr("ltrec.artefact.recommend.TorchProgram", InProcess)
    return Recommender(exported)


class InProcess:
    """The kept program, with arrays in and out."""

    rows: ClassVar[list[int]] = []

    def __init__(self, path: Path) -> None:
        self._program = Saved.load(path)
        self.rows.clear()

    def __call__(self, items, *named):
        self.rows.append(len(items))
        own = [{name: torch.from_numpy(np.array(values)) for name, values in given.items()} for given in named]
        with torch.no_grad():
            return [found.numpy() for found in self._program(torch.from_numpy(items), *own)]


def test_all_files_are_there_and_no_other(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted([*FILES, ".gitattributes"])
    assert {*read_manifest(exported)["files"]} == {*FILES, ".gitattributes"} - {"artefact.json"}
    assert [path.name for path in exported.parent.iterdir() if path.name.startswith(".")] == []


def another(path: Path):
    """A program that is not the run."""
    program = Saved.load(path)

    def call(items, events, users, tables):
        scores, ids = program(items, events, users, tables)
        return scores + 1, ids

    return call


def broken(path: Path):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("opens", "fault"), [(another, UserError), (broken, KeyboardInterrupt)])
def test_a_failed_export_leaves_what_was_there(run, exported, tmp_path, opens, fault):
    shutil.copytree(exported, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    for name in ("model", "new"):
        with pytest.raises(fault):
            write(run, ExportRequest(tmp_path / name, "torch", 5, overwrite=True), opens)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_other_folders_are_not_replaced(run, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError, match="is there already, and is no exported model; name another --out"):
            write(run, ExportRequest(out, "torch", 5, overwrite=True), Saved.load)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "empty"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_in_one_line(exported, tmp_path, name, how):
    shutil.copytree(exported, tmp_path / "model")
    path = tmp_path / "model" / name
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes({"flipped": data, "truncated": data[: len(data) // 2], "empty": b""}[how])
    fault = FileNotFoundError if how == "missing" and name != "artefact.json" else ValueError
    with pytest.raises(fault, match=name.replace(".", r"\.")) as caught:
        Recommender(tmp_path / "model")
    assert "\n" not in str(caught.value) and ("export the model again" in str(caught.value) or how == "missing")


def test_a_changed_manifest_is_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "model")
    text = (exported / "artefact.json").read_text()
    assert text.count('"k": 5') == 1
    (tmp_path / "model/artefact.json").write_text(text.replace('"k": 5', '"k": 4'))
    with pytest.raises(ValueError, match=r"artefact\.json is damaged: it was changed after it was written; export the model again"):
        Recommender(tmp_path / "model")


def test_the_vocabulary_of_another_model_is_refused(exported, tmp_path, monkeypatch):
    shutil.copytree(exported, tmp_path / "model")
    shutil.copy(exported / "event-type.arrow", tmp_path / "model/items.arrow")
    about = json.loads((exported / "artefact.json").read_text())
    about["files"]["items.arrow"] = about["files"]["event-type.arrow"]
    del about["sha256"]  # as if the folder had been put together by hand
    (tmp_path / "model/artefact.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"model is damaged: items\.arrow and the tables have different items"):
        Recommender(tmp_path / "model")


def test_a_good_history_is_answered(recommend):
    [answer] = recommend([GOOD], k=3)
    assert len(answer["items"]) == 3 and answer["source"] == "model" and not {"i1", "i2"} & {*answer["items"]}
    assert recommend([]) == []
    [same] = recommend([{**GOOD, "dwell": [1.0, math.nan], "type": ["type-2", float("nan")]}], k=3)
    assert same == answer, "NaN is a missing value"
    [unknown] = recommend([{**GOOD, "type": ["a word that nobody knows", None]}], k=3)
    assert unknown["items"] and unknown["scores"] != answer["scores"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"items": "i1"}, "history 1: items must be a list of ids, as text"),
        ({"items": [1, -2]}, "history 1: items must be a list of ids, as text"),
        ({"items": None}, "history 1: items must be a list of ids, as text"),
        ({"type": ["type-2"]}, "history 1: type must be a list as long as items"),
        ({"time": None}, "history 1: time must be a list as long as items"),
        (
            {"time": [0, 0.5]},
            r"history 1: time\[1\] is 0\.5; it must be a whole number below 9.2e\+18, or None where it is missing",
        ),
        ({"time": [0, 2**64]}, r"history 1: time\[1\] is 18446744073709551616; it must be a whole number"),
        (
            {"dwell": ["much", 1]},
            r"history 1: dwell\[0\] is 'much'; it must be a number below 3.4e\+38, or None where it is missing",
        ),
        ({"dwell": [math.inf, 1]}, r"history 1: dwell\[0\] is inf; it must be a number"),
        ({"dwell": [True, 1]}, r"history 1: dwell\[0\] is True; it must be a number"),
        ({"type": [["type-2"], None]}, r"history 1: type\[0\] is \['type-2'\]; it must be a single value"),
        ({"age": {"years": 3}}, r"history 1: age is \{'years': 3\}; it must be a single value"),
        ({"age": 10**400}, r"history 1: age is 10*; it must be a number below"),
        ({"age": "31"}, r"history 1: age is '31'; it must be a number below 3.4e\+38, or None where it is missing"),
        ({"candidates": "i3"}, "history 1: candidates must be a list of ids, as text"),
    ],
)
def test_a_wrong_history_is_one_line_with_its_field(recommend, changed, message):
    with pytest.raises(ValueError, match=message) as caught:
        recommend([GOOD, {**GOOD, **changed}])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, -1, 6, True, 2.0, "3"])
def test_k_out_of_range_is_one_line(recommend, k):
    with pytest.raises(ValueError, match=r"k is .*; this model gives 1 to 5 items"):
        recommend([GOOD], k=k)


def test_no_mapping_is_one_line(recommend):
    with pytest.raises(ValueError, match=r"history 0: \['i1'\] is no mapping with `items`"):
        recommend([["i1"]])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["i1", "i7", "type-2"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@given(changed=st.dictionaries(st.sampled_from([*GOOD, "candidates", "more"]), VALUES, max_size=3), k=VALUES)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_given_is_answered_or_a_line(recommend, changed, k):
    for history in ({**GOOD, **changed}, changed, k):
        try:
            [answer] = recommend([history], 3)
        except ValueError as error:
            assert str(error).startswith("history 0: ") and "\n" not in str(error)
        else:
            assert len(answer["items"]) <= 3
    try:
        recommend([GOOD], k)
    except ValueError as error:
        assert str(error).startswith("k is ")


def test_the_script_says_one_line_and_answers_nothing(exported, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", [json.dumps(GOOD), "", "{"])
    script = runpy.run_path(str(exported / "recommend.py"))
    monkeypatch.setitem(script["main"].__globals__, "TorchProgram", InProcess)
    monkeypatch.setitem(script["main"].__globals__, "__file__", str(exported / "recommend.py"))
    with pytest.raises(ValueError, match="line 3 is not JSON; a line is a history, as"):
        script["main"]()
    monkeypatch.setattr("sys.stdin", [json.dumps(GOOD)] * 300 + [json.dumps({**GOOD, "age": "x"})])
    with pytest.raises(ValueError, match="history 300: age is 'x'"):
        script["main"]()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.stdin", [json.dumps(GOOD)] * 1100)
    script["main"]()
    assert len(capsys.readouterr().out.splitlines()) == 1100 and max(InProcess.rows) == 1024
    long = {**GOOD, **{name: values * 20_000 for name, values in GOOD.items() if isinstance(values, list)}}
    monkeypatch.setattr("sys.stdin", [json.dumps(long), *[json.dumps(GOOD)] * 30])
    script["main"]()
    assert len(capsys.readouterr().out.splitlines()) == 31 and max(InProcess.rows) < 25, "long histories, fewer at a time"
