"""The whole way, as a user types it: fetch, prepare, verify, train, evaluate, predict, report, compare."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from tests.support.tiny_run import checkpoint, lines_of

TRAIN = [
    "objective.name=softmax",
    "model.width=32",
    "model.heads=1",
    "model.blocks=1",
    "stream.batch_rows=96",
    "stream.max_len=20",
    "trainer.max_epochs=12",
    "trainer.accelerator=cpu",
    "trainer.log_every_steps=7",
    "optim.lr=5e-3",
]
USERS, ITEMS, K = 600, 120, 7


def ltrec(*words) -> None:
    assert main([str(word) for word in words]) == 0


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder after every command has run once."""
    folder = tmp_path_factory.mktemp("work")
    raw, data, runs = folder / "raw", folder / "data", folder / "runs"
    ltrec("fetch", "synthetic", "--users", USERS, "--items", ITEMS, "--seed", 3, "--out", raw)
    ltrec("prepare", raw / "events.parquet", "--out", data)
    ltrec("verify", data)
    for name, seed, epochs in (("a", 0, 12), ("b", 1, 2)):
        words = [f"data.path={data}", f"out={runs}", f"name={name}", f"seed={seed}", *TRAIN, f"trainer.max_epochs={epochs}"]
        ltrec("train", *words)
    ltrec("evaluate", runs / "a", "--compare", runs / "b")
    ltrec("predict", runs / "a", "--k", K)
    ltrec("report", runs / "a", runs / "b")
    return folder


def events(work):
    """Raw log: user -> items."""
    table = pq.read_table(work / "raw" / "events.parquet")
    user, item = (table.column(name).to_pylist() for name in ("user_id", "item_id"))
    seen: dict[str, set[str]] = {}
    for u, i in zip(user, item, strict=True):
        seen.setdefault(str(u), set()).add(str(i))
    return seen


def test_the_run_folder_is_complete(work):
    run = work / "runs" / "a"
    there = set(content(run))
    assert there >= {"config.yaml", "provenance.json", "metrics.jsonl", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
    assert there >= {f"eval/{stem}test.parquet" for stem in ("", *(f"baseline-{name}-" for name in BASELINES))}
    assert there >= {"predictions/top-k.parquet", "report/index.html"}
    assert not [name for name in there if name.endswith(".tmp")]
    origin = json.loads((run / "provenance.json").read_text())
    assert origin["data"]["digest"] == checkpoint(run)["StreamDataModule"]["manifest_digest"]


def test_training_learns(work):
    run = work / "runs" / "a"
    losses = [line["train/loss"] for line in lines_of(run) if "train/loss" in line]
    metrics = [line["val/ndcg@10"] for line in lines_of(run) if "val/ndcg@10" in line]
    assert losses[-1] < losses[0]
    assert len(metrics) == 12 and max(metrics) > 2 * metrics[0]


def test_sasrec_beats_the_baselines_for_head_and_tail(work):
    folder, config = work / "runs" / "a" / "eval", load([work / "runs" / "a" / "config.yaml"], []).evaluation
    scores = {}
    for stem in ("test", "baseline-popularity-test", "baseline-last-item-test"):
        table = EvalTable.read(folder / f"{stem}.parquet")
        groups = summarise(table, config).groups
        scores[stem] = {key: groups[key].metrics["ndcg@10"].mean for key in ("all", "head", "tail")}
    for group in ("all", "head", "tail"):
        assert scores["test"][group] > 1.5 * scores["baseline-popularity-test"][group]
        assert scores["test"][group] > scores["baseline-last-item-test"][group]


def test_every_user_is_ranked_under_the_raw_id(work):
    table, seen = EvalTable.read(work / "runs" / "a" / "eval" / "test.parquet"), events(work)
    ranked = table.rows.column("user_id").to_pylist()
    assert len(ranked) == len(set(ranked))
    assert set(ranked) <= set(seen)
    assert len(ranked) > 0.9 * len(seen), "all but those with fewer than three events"


def test_predictions_are_raw_ids_that_the_user_has_not_seen(work):
    rows, seen = pq.read_table(work / "runs" / "a" / "predictions" / "top-k.parquet").to_pylist(), events(work)
    catalogue = set().union(*seen.values())
    lists: dict[str, list] = {}
    for row in rows:
        assert row["item_id"] in catalogue and row["item_id"] not in seen[row["user_id"]]
        lists.setdefault(row["user_id"], []).append((row["rank"], row["score"]))
    assert set(lists) == set(seen)
    for ranks in lists.values():
        assert [rank for rank, _ in ranks] == list(range(1, len(ranks) + 1)) and len(ranks) == K
        assert [score for _, score in ranks] == sorted((score for _, score in ranks), reverse=True)


def test_the_report_names_both_runs_and_needs_no_other_file(work):
    page = (work / "runs" / "a" / "report" / "index.html").read_text()
    assert "<html" in page and "tail" in page
    assert 'src="http' not in page and 'href="http' not in page


def test_metrics_and_verdict_are_left_as_json(work):
    left = work / "runs" / "a" / "eval"
    table = EvalTable.read(left / "test.parquet")
    summary = json.loads((left / "test.json").read_text())
    assert set(summary) == {"sasrec", *BASELINES}
    assert summary["sasrec"]["groups"]["all"]["users"] == table.num_users
    against = json.loads((left / "test-against-b.json").read_text())
    assert against["gate"]["verdict"] == "inconclusive"
    assert against["comparison"]["groups"]["tail"]["metrics"]["ndcg@10"]["other"] == pytest.approx(
        summary["sasrec"]["groups"]["tail"]["metrics"]["ndcg@10"]["mean"]
    )


def test_evaluating_again_changes_nothing_and_prints_the_verdict(work, capsys):
    before = content(work / "runs")
    ltrec("evaluate", work / "runs" / "a", "--compare", work / "runs" / "b")
    shown = capsys.readouterr().out
    assert "Gate: " in shown and "NDCG@10" in shown
    assert content(work / "runs") == before


def test_repeating_the_command_of_a_finished_run_changes_nothing(work, capsys):
    before = content(work / "runs")
    words = [f"data.path={work}/data", f"out={work}/runs", "name=a", "seed=0", *TRAIN]
    ltrec("train", *words)
    ltrec("train", work / "runs" / "a" / "config.yaml")
    assert content(work / "runs") == before
    assert "next: ltrec evaluate" in capsys.readouterr().out


def test_the_printed_config_reloads_to_the_same_run(work, tmp_path, capsys):
    words = [f"data.path={work}/data", f"out={tmp_path}/runs", "name=p", *TRAIN, "tracking.tags=[a, b]", "stream.quotas=[]"]
    ltrec("train", *words, "--print-config")
    (tmp_path / "p.yaml").write_text(capsys.readouterr().out)
    assert load([tmp_path / "p.yaml"], []) == load([], words)
    assert not (tmp_path / "runs").exists()
    ltrec("train", tmp_path / "p.yaml", "trainer.max_epochs=1")
    saved = load([tmp_path / "runs" / "p" / "config.yaml"], [])
    assert saved == load([], [*words, "trainer.max_epochs=1"])


def test_smoke_runs_everything_and_leaves_nothing(work, tmp_path, capsys):
    """Validation, too, however seldom the run itself would validate."""
    before = content(work / "runs")
    ltrec("train", f"data.path={work}/data", f"out={work}/runs", "name=a", *TRAIN, "trainer.validate_every_epochs=5", "--smoke")
    shown = capsys.readouterr().out
    assert "smoke test passed" in shown and "NDCG@10" in shown.partition("smoke test passed")[0]
    assert content(work / "runs") == before


def test_quickstart_from_nothing_to_a_report_and_again(tmp_path, monkeypatch, capsys):
    """On a small log, which lies where `fetch` would have put it."""
    monkeypatch.chdir(tmp_path)
    ltrec("fetch", "synthetic", "--users", 300, "--items", 80, "--out", "data/raw/synthetic")
    ltrec("quickstart", "--dataset", "synthetic", "--smoke")
    shown = capsys.readouterr().out
    assert all(f"{n}/5" in shown for n in range(1, 6)) and "Gate: INCONCLUSIVE" in shown
    assert "report: runs/quickstart-recommended/report/index.html" in shown
    before = {k: v for k, v in content(tmp_path).items() if "/report/" not in k}
    ltrec("quickstart", "--dataset", "synthetic", "--smoke")
    assert {k: v for k, v in content(tmp_path).items() if "/report/" not in k} == before


@pytest.mark.slow
def test_quickstart_fetches_for_itself(tmp_path, monkeypatch):
    """And holds any method of conf/method against joint training."""
    monkeypatch.chdir(tmp_path)
    ltrec("quickstart", "--dataset", "synthetic", "--method", "ipw", "--smoke")
    assert (tmp_path / "runs" / "quickstart-ipw" / "report" / "index.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "pinn"], "no config file 'conf/method/pinn.yaml' (did you mean 'conf/method/pin.yaml'?)"),
        (["--method", "joint"], "--method joint is what methods are compared with"),
        (["--dataset", "ml-10k"], "--dataset 'ml-10k' is unknown (did you mean 'ml-100k'?)"),
    ],
)
def test_quickstart_refuses_before_it_fetches(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["quickstart", *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
