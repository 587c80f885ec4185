"""LTP's protocol from log to metrics: whom it drops, whom it keeps out of training, and that those are judged apart."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.core.columns import STRATUM
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.vocabulary import Vocabulary
from ltrec.evaluation.groups.users import groups
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import HISTORY_LENGTH, EvalTable
from tests.support.logs import START, write_csv
from tests.support.source_tree import ROOT

TRAIN = ["stream.batch_rows=48", "stream.max_len=8", "model.width=8", "model.heads=1", "model.blocks=1", "optim.lr=0.01"]
FILES = sorted((ROOT / "conf/experiment").glob("ltp-protocol*.yaml"))


def log():
    """220 users with 6 to 24 events on 60 popular items; every fourth also has an item of few users, and one of just five."""
    draw = np.random.default_rng(0)
    rows = []
    for user in range(220):
        length = int(draw.integers(6, 25))
        items = [f"i{i}" for i in draw.choice(60, size=length, replace=False)]
        if user % 4 == 0:
            items[:2] = [f"rare{user % 80}", f"edge{user % 44}"]
        rows += [(f"u{user}", item, START + 60 * n) for n, item in enumerate(items)]
    return rows


def kept(rows):
    """user -> items in order of time: items first, then users, not again."""
    records = Counter(item for _, item, _ in rows)
    left = [row for row in rows if records[row[1]] >= 5]
    counts = Counter(user for user, _, _ in left)
    histories = defaultdict(list)
    for user, item, _ in left:
        if counts[user] >= 10:
            histories[user].append(item)
    return dict(histories)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocol")
    source, protocol = write_csv(folder / "log.csv", log()), str(ROOT / "conf/experiment/ltp-protocol.yaml")
    data, words = (
        f"data.path={folder / 'data'}",
        ["name=ltp", f"out={folder / 'runs'}", "trainer.max_steps=6", "trainer.accelerator=cpu", *TRAIN],
    )
    for command in (
        ["prepare", protocol, f"prepare.sources=[{source}]", data],
        ["train", protocol, str(ROOT / "conf/method/ltp.yaml"), data, *words],
        ["evaluate", str(folder / "runs" / "ltp")],
    ):
        assert main(command) == 0
    return folder


def test_items_are_dropped_first_then_users_and_neither_again(work):
    table, expected = EvalTable.read(work / "runs/ltp/eval/test.parquet"), kept(log())
    assert set(table.rows.column("user_id").to_pylist()) == set(expected)
    assert dict(zip(table.rows.column("user_id").to_pylist(), table.column(HISTORY_LENGTH).tolist(), strict=True)) == {
        user: len(items) - 1 for user, items in expected.items()
    }
    records, again = Counter(user for user, _, _ in log()), Counter(item for items in expected.values() for item in items)
    assert min(again.values()) < 5, "a second round would drop more items"
    assert any(records[user] >= 10 for user in records.keys() - expected), "users first would drop fewer users"


def test_new_users_are_a_fifth_and_judged_apart(work):
    run = work / "runs" / "ltp"
    table, config = EvalTable.read(run / "eval" / "test.parquet"), load([run / "config.yaml"], [])
    found = {group.key: group for group in groups(table)}
    assert found["new"].mask_N.tolist() == (table.column(STRATUM) < 0).tolist()
    assert 0.1 < found["new"].users / found["all"].users < 0.3
    assert found["new"].users + found["head"].users + found["tail"].users == found["all"].users
    assert 0.15 < found["head"].users / (found["head"].users + found["tail"].users) < 0.3
    told = summarise(table, config.evaluation).groups
    for key in ("new", "head", "tail"):
        hits = table.column("rank")[found[key].mask_N] <= 10
        assert told[key].metrics["hr@10"].mean == pytest.approx(hits.mean())


def test_the_target_of_everyone_is_the_last_item(work):
    table = EvalTable.read(work / "runs/ltp/eval/test.parquet")
    vocabulary = Vocabulary.load(work / "data", Manifest.load(work / "data")).item_id
    expected = kept(log())
    for user, target in zip(table.rows.column("user_id").to_pylist(), table.rows.column("target").to_pylist(), strict=True):
        assert vocabulary[target] == expected[user][-1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_of_the_protocol_says_the_same(path):
    one, other = (load([file], []).prepare for file in (path, ROOT / "conf/experiment/ltp-protocol.yaml"))
    for key in ("min_item_events", "min_user_events", "iterate", "split", "held_out_users", "head_share"):
        assert getattr(one, key) == getattr(other, key)
