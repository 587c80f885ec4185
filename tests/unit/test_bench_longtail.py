"""benchmarks/longtail: ranks small enough to be committed say what whole tables say; figures, page and commands come from them."""

import shlex
import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.harness.ledger import Run, key_of
from benchmarks.longtail import page_reach, tables
from benchmarks.longtail.commands import train_words
from benchmarks.longtail.judge import Judge, Scorer, gap, spread, worst
from benchmarks.longtail.page import RESULTS, write_page
from benchmarks.longtail.ranks import DEEPEST, Column, add_column, clipped, read_users, users_digest, write_users
from benchmarks.longtail.results import Results
from benchmarks.longtail.slots import Slots
from ltrec.config.load import dump, load
from ltrec.core.errors import UserError
from ltrec.data.reach import BEYOND, ONE_LINK, Reach
from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.metrics import hit_at, ndcg_at
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import RANK, EvalTable
from tests.support.fake_run import fake_run
from tests.support.source_tree import ROOT

SEEDS = (0, 1, 2)
FAST = EvaluationConfig(bootstrap_samples=500)
MIX, EMA = Scorer("joint", "mix"), Scorer("joint", "ema")


def shuffled(table, seed):
    """The same users in another order."""
    order = np.random.default_rng(seed).permutation(table.num_users)
    return replace(table, rows=table.rows.take(pa.array(order)))


def table_of(folder, seed, lift, world):
    """Whole ranks of a scorer that helps the tail by `lift`."""
    run = fake_run(
        folder / f"{world}-{seed}-{lift}", users=600, world=world, seed=seed + 10 * (lift > 0), lift=lift, tax=-lift / 2, cold=0
    )
    table = EvalTable.read(run / "eval" / "test.parquet")
    table = replace(table, source=table.source | {"seed": seed}, protocol=replace(table.protocol, manifest=f"log {world}"))
    return shuffled(table, seed)


def reach_of(table):
    """Every other user's target is one link away, the others' are beyond."""
    key_U = np.sort(table.column("user_key"))
    return Reach(key_U, np.where(np.arange(key_U.size) % 2, BEYOND, ONE_LINK).astype(np.int8))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two logs, joint training with and without a gain of the tail: folder of results, and the whole tables."""
    folder, whole = tmp_path_factory.mktemp("results"), {}
    results = Results(folder)
    for world, log in enumerate(("music", "beauty")):
        for scorer, lift in ((EMA, 0.0), (MIX, 2.0)):
            found = [table_of(tmp_path_factory.getbasetemp() / "runs", seed, lift, world) for seed in SEEDS]
            whole[log, scorer] = found
            write_users(results.users(log), found[0], reach_of(found[0]))
            for seed, table in zip(SEEDS, found, strict=True):
                column = Column(seed, f"{log}{scorer.variant}{seed}", "narrow", clipped(table))
                add_column(results.ranks(f"{log}-sasrec", "joint", scorer.variant), users_digest(table), column)
        names = {
            "phase": "trained",
            "data": f"{log}-sasrec",
            "method": "joint",
            "setting": "narrow",
            "words": [],
            "seed": 0,
            "key": "k",
        }
        told = {"validation": {group: {"ndcg@10": 0.05} for group in ("all", "tail", "head")}, "best_epoch": 7.0, "epochs": 9.0}
        results.ledger.add(names | told | {"seconds": 30.0, "busy": 1.5, "trained": {}})
    return folder, whole


def test_committed_ranks_give_the_metrics_of_whole_tables(measured):
    folder, whole = measured
    judge = Judge(folder, FAST)
    for (log, scorer), tables_ in whole.items():
        found = judge.seeds(log, "sasrec", scorer)
        assert [table.source["seed"] for table in found] == list(SEEDS)
        for mine, theirs in zip(found, pair(base=tables_, other=tables_).base, strict=True):
            for k in (10, 20, DEEPEST):
                for metric in (hit_at, ndcg_at):
                    np.testing.assert_array_equal(metric(mine.column(RANK), k), metric(theirs.column(RANK), k))
        mine, theirs = judge.means(found), summarise(tables_, FAST)
        for key in ("all", "tail", "head", "stratum=0", "stratum=3"):
            assert mine[key] == pytest.approx(theirs.groups[key].metrics["ndcg@10"].mean, abs=1e-12)
        assert spread(found) == pytest.approx(theirs.groups["all"].metrics["ndcg@10"].spread, abs=1e-12)
        assert worst(mine)[0] == theirs.worst("ndcg@10").key and gap(mine) == pytest.approx(theirs.gap("ndcg@10"))


def test_changes_and_verdicts_are_ltrecs_own(measured):
    folder, whole = measured
    judge = Judge(folder, FAST)
    pairs = {log: pair(base=whole[log, EMA], other=whole[log, MIX]) for log in ("music", "beauty")}
    expected = {verdict.dataset: verdict for verdict in gate(pairs, FAST, "ndcg@10").datasets}
    found = judge.gates("sasrec", EMA, MIX)
    assert list(found) == ["music", "beauty"]
    for log, verdict in found.items():
        assert verdict.verdict == expected[log].verdict and verdict.tail.verdict == "pass"
        assert verdict.tail.p == expected[log].tail.p and verdict.head.low == expected[log].head.low
        mine = judge.changes(judge.paired(log, "sasrec", EMA, MIX), ("all", "tail", "head", "stratum=1"))
        theirs = compare(base=whole[log, EMA], other=whole[log, MIX], config=FAST, metrics=["ndcg@10"]).groups
        for key in ("all", "tail", "head", "stratum=1"):
            assert mine[key] == theirs[key].metrics["ndcg@10"]
    assert judge.gates("gru4rec", EMA, MIX) == {}


def test_a_metric_that_looks_beyond_the_kept_ranks_is_refused(measured):
    folder, _ = measured
    judge = Judge(folder, FAST)
    with pytest.raises(AssertionError, match="mrr"):
        judge.means(judge.seeds("music", "sasrec", MIX), "mrr")


def test_reach_is_said_by_stratum_and_explains_the_ranks(measured):
    folder, whole = measured
    judge = Judge(folder, FAST)
    near_N = judge.logs["music"].reach() == ONE_LINK
    assert near_N.tolist() == [True, False] * 300
    text = "\n".join(page_reach.reach(judge, "music"))
    assert "| all users | 600 | 0.0 % | 50.0 % | 0.0 % | 50.0 % |" in text
    aligned = pair(base=whole["music", EMA], other=whole["music", MIX])
    before, after = (values[:, near_N].mean() for values in aligned.values("ndcg@10"))
    assert f"| sasrec |  | {before:.4f} to {after:.4f} |  |" in text


def test_cells_of_the_grid_part_the_users(measured):
    folder, _ = measured
    table = Judge(folder, FAST).logs["music"].table
    masks = [group.mask_N for group in Judge(folder, FAST).cells(table)]
    assert len(masks) > 8 and (sum(mask.astype(int) for mask in masks) == 1).all()


def test_ranks_are_few_bytes(measured):
    folder, _ = measured
    for path in folder.glob("*-joint-*.parquet"):
        assert path.stat().st_size < 4000, "600 users, three seeds: less than a byte each, and the metadata"


def test_columns_come_and_go(tmp_path, measured):
    path, digest = tmp_path / "x.parquet", "u"
    _, whole = measured
    users = tmp_path / "users.parquet"
    write_users(users, whole["music", EMA][0])
    known = replace(read_users(users), digest=digest)

    def seeds():
        return {table.source["seed"]: (key, table.source["setting"]) for key, table in known.tables(path, "x").items()}

    rank_N = np.full(600, 7, np.uint8)
    for seed in (1, 0):
        add_column(path, digest, Column(seed, f"a{seed}", "narrow", rank_N))
    assert seeds() == {0: ("a0", "narrow"), 1: ("a1", "narrow")}
    add_column(path, digest, Column(1, "b1", "narrow", rank_N))
    assert seeds() == {0: ("a0", "narrow"), 1: ("b1", "narrow")}, "a seed replaces itself"
    add_column(path, digest, Column(2, "c2", "wide", rank_N))
    assert seeds() == {2: ("c2", "wide")}, "seeds of another setting are no seeds of this variant"
    add_column(path, "others", Column(3, "d3", "wide", rank_N))
    assert seeds() == {}, "ranks of other users are not read"
    (tmp_path / "torn.parquet").write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"torn\.parquet holds no ranks"):
        known.tables(tmp_path / "torn.parquet", "x")


def test_the_page_is_made_from_committed_files_alone(measured, tmp_path):
    folder, whole = measured
    page = tmp_path / "longtail.md"
    write_page(folder, page, FAST)
    text = page.read_text()
    assert text.index("## A memory beside joint training") < text.index("## music")
    change = compare(base=whole["music", EMA], other=whole["music", MIX], config=FAST).groups["tail"].metrics["ndcg@10"]
    [row] = [line for line in text.splitlines() if line.startswith("| joint mix against joint ema | music | sasrec | 3 |")]
    mean = summarise(whole["music", MIX], FAST).groups["all"].metrics["ndcg@10"].mean
    judged = Judge(folder, FAST).gates("sasrec", EMA, MIX)["music"]
    assert f"{100 * change.relative:+.1f} %" in row
    assert f"**{judged.verdict}** (tail {judged.tail.verdict}, head {judged.head.verdict})" in row
    assert f"| joint mix | 3 | {mean:.4f} |".replace(" 0.", " .") in text
    assert "| music-sasrec | joint | **narrow** |" in text and "](longtail.png)" in text
    assert (tmp_path / "longtail.png").read_bytes().startswith(b"\x89PNG")


def test_every_committed_rank_has_its_users_and_its_line():
    """Of the results in the repository: what the page is made from is whole."""
    results = Results(RESULTS)
    for path in sorted(RESULTS.glob("*.parquet")):
        if not path.name.endswith(".users.parquet"):
            log = next(name for name in tables.LOGS if path.name.startswith(f"{name}-"))
            model = next((f"{log}-{name}" for name in tables.MODELS if path.name.startswith(f"{log}-{name}-")), log)
            known = {line["key"] for line in results.ledger.lines(model) if line["phase"] == "ranked"}
            found = read_users(results.users(log)).tables(path, path.stem)
            assert found and set(found) <= known, path.name


def test_no_results_are_a_page_without_a_figure(tmp_path):
    write_page(tmp_path / "nothing", tmp_path / "longtail.md", FAST)
    assert not (tmp_path / "longtail.png").exists() and "png" not in (tmp_path / "longtail.md").read_text()


@pytest.mark.parametrize("model", tables.MODELS)
@pytest.mark.parametrize("method", tables.METHODS)
def test_settings_load_and_differ_within_the_budget(model, method):
    trees = {dump(load(tables.files(model, method), words)) for words in tables.settings(model, method).values()}
    assert len(trees) == len(tables.settings(model, method)) <= tables.BUDGET


@pytest.mark.parametrize("log", tables.LOGS)
def test_logs_are_prepared_with_ties_in_the_order_of_a_hash(log):
    assert load([tables.SHARED], tables.LOGS[log]).prepare.ties == "hash"


def test_the_command_of_a_run_is_the_run():
    shared, words, files = ("trainer.max_epochs=3",), tables.MODELS["gru4rec"]["wide"], tables.files("gru4rec", "joint")
    config = load(files, [*shared, *words, "seed=4"])
    run = Run("music-gru4rec", "joint", "wide", words, 4, config, key_of(config, "d"), tuple(files), shared)
    program, command, *told = shlex.split(train_words(run))
    assert (program, command) == ("ltrec", "train")
    again = load([ROOT / word for word in told if "=" not in word], [word for word in told if "=" in word])
    assert key_of(again, "d") == run.key


def test_slots_are_few_and_given_in_order():
    slots, began, most, inside, lock = Slots(2), [], 0, 0, threading.Lock()

    def work(number):
        nonlocal most, inside
        with slots.hold((number,)):
            with lock:
                began.append(number)
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    with slots.hold((-2,)), slots.hold((-1,)):  # nobody begins before all wait
        threads = [threading.Thread(target=work, args=(number,)) for number in (5, 3, 4, 1, 2, 0)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        assert began == []
    for thread in threads:
        thread.join()
    assert most == 2 and all(abs(place - number) <= 1 for place, number in enumerate(began)), began
