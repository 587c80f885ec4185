"""Training across an append: equal to a full prepare, from the weights of a run before, and with an account of what was seen."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import ltrec
import ltrec.run.train as training
from ltrec.core.errors import UserError
from ltrec.data.forget.pipeline import forget
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.reporting.sections.facts import provenance_facts
from tests.support.appended import config_of, make_grown
from tests.support.logs import START, write_csv
from tests.support.tiny_run import checkpoint, same, tiny_config

SHORT = ["trainer.max_epochs=1"]
STILL = ["trainer.max_steps=1", "optim.lr=1e-30"]
LAST = "{}/checkpoints/last.ckpt"
ITEMS = "backbone.items.weight"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_grown(tmp_path_factory.mktemp("days"), block_rows=32)


def train(data, out, *words):
    return training.train(tiny_config(data, out, *words)).path


@pytest.fixture(scope="module")
def first(made, tmp_path_factory):
    """A run on the parent."""
    return train(made.parent, tmp_path_factory.mktemp("first"), *SHORT)


@pytest.fixture(scope="module")
def second(made, first, tmp_path_factory):
    """A run on the grown data that starts from its weights, and does not move them."""
    return train(made.grown, tmp_path_factory.mktemp("second"), f"init_from={first}", *STILL)


def span_of(run, name="best"):
    state = checkpoint(run, name)["StreamDataModule"]
    return {"manifest_digest": state["manifest_digest"], "steps": state["next_step"], "data_digest": state["data_digest"]}


def test_weights_equal_those_of_a_full_prepare(made, tmp_path):
    runs = [train(made.folder / name, tmp_path / name, *SHORT) for name in ("grown", "full")]
    grown, full = map(checkpoint, runs)
    assert grown["global_step"] > 5
    assert same(grown["state_dict"], full["state_dict"])
    assert grown["StreamDataModule"]["data_digest"] == full["StreamDataModule"]["data_digest"]
    assert grown["StreamDataModule"]["manifest_digest"] != full["StreamDataModule"]["manifest_digest"]
    mine, theirs = map(ranked, runs)
    assert mine.num_rows > 100 and mine.equals(theirs)


def test_a_run_starts_from_weights_of_before_and_new_items_as_in_a_new_run(made, first, second, tmp_path):
    before, mine = checkpoint(first, "best")["state_dict"], checkpoint(second)["state_dict"]
    items = made.manifest("parent").vocab.items
    assert made.manifest("grown").vocab.items > items
    assert torch.equal(mine[ITEMS][: items + 1], before[ITEMS])
    assert all(torch.equal(mine[name], before[name]) for name in before.keys() - {ITEMS})
    fresh = checkpoint(train(made.grown, tmp_path, *STILL))["state_dict"]
    assert torch.allclose(mine[ITEMS][items + 1 :], fresh[ITEMS][items + 1 :], rtol=0, atol=1e-20)
    assert mine[ITEMS][items + 1 :].std() > 0


def test_every_span_of_steps_is_accounted_for_with_its_data(made, first, second, tmp_path):
    spans = [span_of(first)]
    assert checkpoint(second)["StreamDataModule"]["earlier"] == spans
    assert json.loads((second / "provenance.json").read_text())["init_from"]["trained_on"] == spans
    later = write_csv(tmp_path / "later.csv", [("u1", "newest", START + 10**7)])
    append(config_of(later, block_rows=32), made.grown, tmp_path / "next")
    third = train(tmp_path / "next", tmp_path / "third", f"init_from={LAST.format(second)}", *STILL)
    assert checkpoint(third)["StreamDataModule"]["earlier"] == [*spans, span_of(second, "last")]
    (line,) = [value for name, value in provenance_facts(_method(third)) if name == "Trained on"]
    digests = [made.manifest(name).digest[:12] for name in ("parent", "grown")]
    assert line.startswith(f"{spans[0]['steps']} steps on data {digests[0]}, 1 step on data {digests[1]}; then this run, on data ")


def ranked(run):
    """Ranks of all users' targets, without distances, which a data set that was appended to does not have."""
    ltrec.evaluate(run, bootstrap_samples=20)
    return pq.read_table(run / "eval" / "test.parquet").drop_columns(["reach"])


def _method(run):
    class Run:
        provenance = json.loads((run / "provenance.json").read_text())

    class Method:
        runs = (Run,)

    return Method


def test_a_run_goes_on_after_users_were_forgotten(made, first, tmp_path):
    shutil.copytree(made.grown, tmp_path / "data")
    forget(tmp_path / "data", pa.array(["u30", "u31"]))
    mine = checkpoint(train(tmp_path / "data", tmp_path, f"init_from={first}", *STILL))
    assert mine["StreamDataModule"]["earlier"] == [span_of(first)]


def test_a_run_is_never_resumed_on_other_data(made, first):
    config = tiny_config(made.grown, first.parent, *SHORT)
    with pytest.raises(UserError, match=r"was trained on another data set .* goes on as a new one, with init_from=RUN"):
        training.train(config)


def test_only_data_of_the_lineage_will_do(made, second, tmp_path):
    with pytest.raises(UserError, match="let init_from name a run on this one"):
        train(made.parent, tmp_path, f"init_from={LAST.format(second)}", *STILL)
    other = write_csv(tmp_path / "other.csv", [(f"u{u}", f"i{n}", START + n) for u in range(90) for n in range(5)])
    prepare(PrepareConfig(sources=(str(other),), name="other", threads=1), tmp_path / "other")
    with pytest.raises(UserError, match="let init_from name a run on this one"):
        train(tmp_path / "other", tmp_path, f"init_from={LAST.format(second)}", *STILL)
