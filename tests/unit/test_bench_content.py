"""benchmarks/content: equal budgets, the same data for both methods, and a page from committed files alone."""

import json

import numpy as np
import pytest

from benchmarks.content import tables
from benchmarks.content.groups import parts
from benchmarks.content.page import COMPARISONS, write_page
from benchmarks.content.work import CONTENT, VARIANTS
from benchmarks.harness.child import Clock
from benchmarks.longtail.judge import Scorer
from benchmarks.longtail.ranks import Column, add_column, clipped, read_users, users_digest, write_users
from benchmarks.longtail.results import Results
from ltrec.config.load import dump, load
from ltrec.data.reach import BEYOND, ONE_LINK, Reach
from ltrec.evaluation.config import EvaluationConfig
from tests.support.evaluation import eval_table

FAST = EvaluationConfig(bootstrap_samples=200)
USERS = 120


def table_of(seed, lift):
    """Users with a target of every popularity; `lift` brings those of the least active users up."""
    draw = np.random.default_rng(seed)
    activity = np.arange(USERS) % 12 + 1
    rank = np.where(activity < 9, draw.integers(1, 60, USERS) - lift, draw.integers(1, 30, USERS)).clip(1)
    return eval_table(rank, activity, seed=seed)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    found = Results(tmp_path_factory.mktemp("content"))
    for lift, (method, variant) in enumerate((("ids", "ema"), ("content", "ema"), ("ids", "mix"), ("ids", "mix-content"))):
        for seed in tables.SEEDS:
            table = table_of(seed, 10 * lift)
            key_U = np.sort(table.column("user_key"))
            reach = Reach(key_U, np.where(np.arange(USERS) % 2, BEYOND, ONE_LINK).astype(np.int8))
            write_users(found.users("toys"), table, reach)
            column = Column(seed, f"{method}{variant}{seed}", "narrow", clipped(table))
            add_column(found.ranks("toys-sasrec", method, variant), users_digest(table), column)
    return found


@pytest.mark.parametrize("model", tables.MODELS)
def test_both_methods_try_the_same_settings(model):
    ids, content = (tables.settings(model, method) for method in tables.METHODS)
    assert list(ids) == list(content) and len(ids) == len(tables.settings("sasrec", "ids"))
    for name, words in ids.items():
        assert content[name] == (*words, *tables.METHODS["content"])
    configs = [load(tables.files(model, m), w) for m in tables.METHODS for w in tables.settings(model, m).values()]
    assert len({dump(config) for config in configs}) == len(ids) + len(content)
    objective = "sampled_softmax" if model == "din" else "softmax"
    assert {(config.model.name, config.objective.name) for config in configs} == {(model, objective)}
    one = load(tables.files("sasrec", "ids"), ["stream.max_len=50"])
    assert all((config.trainer, config.stream, config.gradients) == (one.trainer, one.stream, one.gradients) for config in configs)


def test_groups_by_reach_and_by_target_share_out_the_users(results):
    found = {group.key: group for group in parts(read_users(results.users("toys")), FAST)}
    for pair in (("reached", "unreached"), ("item=tail", "item=head"), ("tail", "head")):
        assert sum(found[key].users for key in pair) == found["all"].users == USERS
    assert found["reached"].users == USERS // 2


def test_what_is_compared_is_ranked():
    for comparison in COMPARISONS.values():
        for scorer in (comparison.base, comparison.other):
            assert scorer.variant in tables.variants(scorer.method)
    assert set(tables.variants("ids")) == set(VARIANTS)
    assert CONTENT.content.columns == ("all",)
    assert Scorer("ids", "mix") == COMPARISONS["Columns in both"].base


def test_the_page_is_made_from_committed_files_alone(results, tmp_path):
    page = tmp_path / "content.md"
    write_page(results.folder, page, FAST)
    text = page.read_text()
    assert "## Columns in the trunk" in text
    assert "## Columns in both" not in text, "nothing was ranked for it"
    for label in ("target within one link of the history | 60", "target farther than one link | 60", "all users | 120"):
        assert f"| {label} |" in text
    assert "ids mix-content (3)" in text


def test_no_results_are_a_page_without_tables(tmp_path):
    write_page(tmp_path / "nothing", tmp_path / "content.md", FAST)
    assert "| --- |" not in (tmp_path / "content.md").read_text()


def test_the_clock_of_a_run_writes_nothing_into_a_folder_that_is_not_the_run_s_yet(tmp_path):
    clock = Clock(tmp_path / "clock.json", tmp_path / "config.yaml")
    clock.note()
    assert not any(tmp_path.iterdir())
    (tmp_path / "config.yaml").write_text("")
    told = clock.note()
    assert json.loads((tmp_path / "clock.json").read_text()) == told
