"""The report: self-contained, escaped, honest about what is missing, clear about what is broken."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.html import write_report
from ltrec.reporting.run_results import read_history
from ltrec.reporting.sentences import DASH
from tests.support.report_page import CONFIG, read, squeezed

pytestmark = pytest.mark.usefixtures("blank_figures")


def test_the_page_is_one_file_that_needs_nothing_else(run):
    index = write_report([run], CONFIG)
    assert index == run / "report" / "index.html"
    page = read(index)
    assert page.attributes("script") == page.attributes("link") == []
    images = [a["src"] for a in page.attributes("img")] + [a["srcset"] for a in page.attributes("source")]
    assert len(images) == 16
    assert not page.attributes("style")[1:] and all("style" not in attrs for _, attrs in page.tags)
    assert all(uri.startswith("data:image/png;base64,iVBOR") for uri in images)
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)
    addresses = re.findall(r"(?:https?:)?//[\w.]+|url\(|@import", re.sub(r"base64,[^\"]+", "", index.read_text(encoding="utf-8")))
    assert addresses == []
    [policy] = [a["content"] for a in page.attributes("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_the_embedded_images_are_the_files_beside_the_page(run, drawn):
    index = write_report([run], CONFIG)
    embedded = {base64.b64decode(a["src"].partition(",")[2]) for a in read(index).attributes("img")}
    files = {p.name: p.read_bytes() for p in index.parent.glob("*.png")}
    assert {n for n in files if not n.endswith("-dark.png")} == {
        "activity.png", "by-stratum.png", "loss.png", "validation.png", "grid.png", "against-1.png",
        "reach.png", "reach-given.png",
    }  # fmt: skip
    assert embedded == {b for n, b in files.items() if not n.endswith("-dark.png")}


def test_every_image_is_told_in_words_and_every_section_is_titled(run):
    page = read(write_report([run], CONFIG))
    assert all(len(a["alt"]) > 60 for a in page.attributes("img"))
    ids = [a["id"] for a in page.attributes("h2")]
    order = ["contents", "metrics", "against-1", "activity", "reach", "training", "grid", "coverage", "cold", "protocol"]
    assert ids == [*order, "provenance", "limits", "glossary"]
    assert [a["href"] for a in page.attributes("a")] == [f"#{name}" for name in ids[1:]]


def test_every_name_with_an_explanation_opens_it_without_a_script(run):
    page = read(write_report([run], CONFIG))
    buttons = [a["popovertarget"] for a in page.attributes("button")]
    explained = {a["id"] for a in page.attributes("div") if "popover" in a}
    assert {"about-ndcg", "about-hr", "about-mrr", "about-auc", "about-gini", "about-coverage"} <= set(buttons) <= explained
    assert all(len(a["title"]) > 20 for a in page.attributes("abbr")) and len(page.attributes("abbr")) == len(buttons)
    assert {f"term-{name.removeprefix('about-')}" for name in explained} == {a["id"] for a in page.attributes("dt") if "id" in a}


def test_the_numbers_are_those_of_the_summary(run):
    summary = summarise(EvalTable.read(run / "eval" / "test.parquet"), CONFIG)
    text = squeezed(read(write_report([run], CONFIG)).text)
    for key in ("all", "tail", "head", "stratum=0", "stratum=4"):
        estimate = summary.groups[key].metrics["ndcg@10"]
        assert f"{estimate.mean:.4f} {estimate.low:.4f}{DASH}{estimate.high:.4f}" in text
        assert math.isnan(estimate.spread)
    tail, head = (summary.groups[k].metrics["ndcg@10"].mean for k in ("tail", "head"))
    assert f"Tail users get NDCG@10 {tail:.4f}, head users {head:.4f}" in text


def test_the_facts_are_on_the_page(run):
    text = squeezed(read(write_report([run], CONFIG)).text)
    for fact in ("5f2c0a9be1d34c77", "ml-100k", "leave one out", "266", "4bb5b43c0ffe, with uncommitted changes", "torch 2.13.0"):
        assert fact in text
    assert "ltrec train conf/experiment/quickstart.yaml seed=1" in text
    assert "6 users had no history before the target" in text
    assert "2 CPUs, no GPU, 1 process" in text
    assert "last item seen items stay in" in text
    assert "another training seed: this page rests on one." in text


@pytest.mark.parametrize(("least", "said"), [(9, False), (10, True), (17, True)])
def test_a_log_without_a_tail_is_said(run, least, said):
    """The cold users of the page have no training events, and are no tail either."""
    for file in (run / "eval").glob("*test.parquet"):
        table = EvalTable.read(file)
        activity = table.column("activity")
        assert activity.min() == 0
        column = table.rows.schema.get_field_index("activity")
        raised = np.where(activity > 0, activity - activity[activity > 0].min() + least, 0).astype(np.int32)
        replace(table, rows=table.rows.set_column(column, table.rows.schema.field(column), [raised])).write(file)
    text = squeezed(read(write_report([run], CONFIG)).text)
    assert (f"No user here has fewer than {least} training events" in text) == said


def test_the_same_run_gives_the_same_page(run):
    assert write_report([run], CONFIG).read_bytes() == write_report([run], CONFIG).read_bytes()


def test_an_interrupted_write_leaves_the_old_page(run, monkeypatch):
    index = write_report([run], CONFIG)
    before = index.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_report([run], CONFIG)
    assert index.read_bytes() == before
    assert list(index.parent.glob(".*")) == []


HOSTILE = "<script>alert('x')<\N{DIVISION SLASH}script>\"&{{7*7}}"


def test_hostile_names_are_text(original, tmp_path):
    run = Path(shutil.copytree(original, tmp_path / HOSTILE))
    recorded = json.loads((run / "provenance.json").read_text())
    recorded["command"] = recorded["data"]["name"] = recorded["git"]["commit"] = HOSTILE
    (run / "provenance.json").write_text(json.dumps(recorded))
    (run / "config.yaml").write_text(f"name: {HOSTILE}\n</pre><img src=x onerror=alert(1)>\n")
    for file in (run / "eval").glob("*.parquet"):
        table = EvalTable.read(file)
        replace(table, source=table.source | {"name": HOSTILE}).write(file)
    index = write_report([run], CONFIG)
    page = read(index)
    assert page.attributes("script") == []
    assert all(a["src"].startswith("data:") for a in page.attributes("img"))
    assert "49" not in page.attributes("title")
    assert page.text.count(HOSTILE) > 5
    assert "<img src=x onerror=alert(1)>" in page.text


def test_a_run_that_was_not_evaluated_shows_its_training(run):
    shutil.rmtree(run / "eval")
    index = write_report([run], CONFIG)
    text = squeezed(read(index).text)
    assert f"This run has not been evaluated yet. What follows is its training alone. Run ltrec evaluate {run} and" in text
    assert {p.name for p in index.parent.glob("*.png")} == {f"{n}{s}.png" for n in ("loss", "validation") for s in ("", "-dark")}


def test_a_run_without_test_results_shows_the_validation_split(run):
    for file in (run / "eval").glob("*test.parquet"):
        file.unlink()
    assert "valid split" in squeezed(read(write_report([run], CONFIG)).text)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("metrics.jsonl", "No metrics.jsonl was found in the run folder, so there are no curves."),
        ("provenance.json", "provenance.json is missing or damaged, so this run cannot be repeated from this page"),
        ("config.yaml", "What this page does not say"),
        ("eval/baseline-popularity-test.parquet", "What the lists look like"),
    ],
)
def test_what_is_missing_is_said_and_the_rest_is_shown(run, name, sentence):
    (run / name).unlink()
    assert sentence in squeezed(read(write_report([run], CONFIG)).text)


def test_metrics_without_the_wanted_keys_are_said_to_lack_them(run):
    (run / "metrics.jsonl").write_text('{"step": 1, "lr": 0.1}\n')
    text = squeezed(read(write_report([run], CONFIG)).text)
    assert "metrics.jsonl holds no train/loss" in text
    assert "metrics.jsonl holds no val/ndcg" in text


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("metrics.jsonl", b'{"step": 1}\nrubbish\n{"step": 2}\n', "metrics.jsonl line 2 is damaged: not JSON"),
        ("metrics.jsonl", b"\xff\xfe\n", "metrics.jsonl is damaged: byte 0 is not UTF-8"),
        ("eval/test.parquet", b"PAR1 no", "test.parquet is damaged"),
    ],
)
def test_what_is_corrupt_is_named_and_nothing_is_written(run, name, content, complaint):
    (run / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        write_report([run], CONFIG)
    assert "\n" not in str(caught.value)
    assert not (run / "report").exists()


def test_provenance_of_another_shape_is_shown_as_far_as_it_goes(run):
    (run / "provenance.json").write_text('{"data": 3, "git": null, "hardware": {"gpus": "x"}, "seed": 0}')
    text = squeezed(read(write_report([run], CONFIG)).text)
    assert "no repository" in text
    assert "not recorded" in text


def test_a_killed_runs_last_line_is_left_out_and_said_so(run):
    with open(run / "metrics.jsonl", "a") as handle:
        handle.write('{"step": 9999, "train/lo')
    assert "The last line of plain's metrics.jsonl is incomplete" in squeezed(read(write_report([run], CONFIG)).text)


@pytest.mark.parametrize(
    "make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("x")], ids=["absent", "empty", "file"]
)
def test_what_is_no_run_folder_is_refused(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(UserError, match=r"is not a folder|holds no run"):
        write_report([tmp_path / "x"], CONFIG)


def test_an_epoch_counter_that_stands_still_gives_way_to_steps():
    moving = read_history("".join(f'{{"step": {i}, "epoch": {i / 4}, "train/loss": 1.0}}\n' for i in range(4)), Path("m"))
    still = read_history("".join(f'{{"step": {i}, "epoch": 0, "train/loss": 1.0}}\n' for i in range(4)), Path("m"))
    assert (moving.axis(), still.axis()) == ("epoch", "step")


def test_values_that_json_cannot_hold_leave_no_point():
    history = read_history(
        '{"step": 0, "a": 1.5}\n{"step": 2, "a": null}\n{"step": 3, "a": true}\n{"step": 3, "a": 2}\n', Path("m")
    )
    curve = history.curve("a", "step")
    np.testing.assert_array_equal(curve.x, [0, 3])
    np.testing.assert_array_equal(curve.y, [1.5, 2])
    assert len(history.curve("b", "step").x) == 0
