"""W&B offline files hold what metrics.jsonl holds; tracking never stops training."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from ltrec.core.errors import Stopped, UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.train import train
from ltrec.tracking.config import TrackingConfig
from ltrec.tracking.keys import CLOCKS
from ltrec.tracking.wandb import EPOCHS, Tracked, WandbLogger, open_run, unreachable
from tests.support.commands import KEY, ltrec
from tests.support.tiny_run import checkpoint, column, lines_of, tiny_config, tiny_words
from tests.support.wandb_file import (
    artifacts,
    config_of,
    defined,
    exit_code_of,
    files,
    history,
    run_of,
    summary,
    table,
    was_preempted,
)

STEP = "trainer/global_step"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def as_history(lines):
    """Lines of metrics.jsonl in W&B's words."""
    return [{(STEP if k == "step" else k): v for k, v in line.items()} for line in lines]


def without_clock(lines):
    """Lines of W&B that metrics.jsonl has, too."""
    kept = [{k: v for k, v in line.items() if not k.startswith((*CLOCKS, "tables/"))} for line in lines]
    return [line for line in kept if line]


def test_offline_holds_every_line_and_a_resumed_run_goes_on_under_its_id(data, tmp_path, capsys):
    words = ["tracking.wandb=offline", "tracking.project=p", "tracking.group=g", "tracking.tags=[a, b]"]
    train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=2", "optim.schedule=constant"))
    run = tmp_path / "r"
    first = lines_of(run)
    assert "wandb sync" in capsys.readouterr().err
    train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=3", "optim.schedule=constant"))
    one, two = files(run)
    assert without_clock(history(one)) == as_history(first)
    assert without_clock(history(two)) == as_history(lines_of(run)[len(first) :])
    seen = {key for line in history(one) for key in line}
    assert {STEP, "val/ndcg@10/tail", "train/loss", "lr", "grad_norm"} <= seen
    assert {f"throughput/{what}_per_s" for what in ("sequences", "events")} <= seen
    assert {
        f"health/{what}" for what in ("step_ms", "loader_ms", "compute_ms", "optimizer_ms", "loader_share", "rss_gib", "eta_s")
    } <= seen
    a, b = run_of(one), run_of(two)
    assert a.run_id == b.run_id and a.run_id.startswith("r-")
    assert (a.project, a.run_group, a.display_name, sorted(a.tags)) == ("p", "g", "r", ["a", "b"])
    assert config_of(one)["model"]["width"] == 8
    origin = json.loads((run / "provenance.json").read_text())
    assert config_of(two)["provenance"] == {key: origin[key] for key in origin.keys() - {"sha256"}} and origin["data"]["digest"]


@pytest.fixture(scope="module")
def tracked(data, tmp_path_factory):
    """A run that is trained with everything on, evaluated and reported, in a job array, with a key that nobody may ever see."""
    folder = tmp_path_factory.mktemp("tracked")
    home = {"HOME": str(folder / "home"), "NETRC": str(folder / "netrc"), "WANDB_API_KEY": KEY, "WANDB_BASE_URL": NOBODY}
    job = {"SLURM_JOB_ID": "18", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1"}
    words = tiny_words(data, folder, "tracking.wandb=online", "tracking.artifacts=all", "trainer.max_epochs=2")
    said = ""
    judged = ["evaluate", folder / "r", "--compare", folder / "r"]
    for command in (["train", *words], ["train", *words, "--print-config"], judged, ["report", folder / "r"]):
        done = ltrec(*command, **home, **job)
        said += done.stdout + done.stderr
    return folder / "r", said


@pytest.mark.slow
def test_the_key_is_in_nothing_that_is_written_or_said(tracked):
    run, said = tracked
    assert "going on offline" in said and "out of reach" in said
    assert KEY not in said
    written = [path for path in run.parent.rglob("*") if path.is_file()]
    assert {"config.yaml", "provenance.json", "metrics.jsonl", "index.html"} <= {path.name for path in written}
    assert [str(path) for path in written if KEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_the_job_array_is_the_group_and_the_job_is_in_the_config(tracked):
    first, second = files(tracked[0])
    assert {run_of(first).run_group, run_of(second).run_group} == {"slurm-17"}
    assert run_of(first).run_id == run_of(second).run_id
    assert config_of(first)["slurm"] == {"job_id": "18", "array_job_id": "17", "array_task_id": "1"}


@pytest.mark.slow
def test_the_summary_keeps_the_best_validation_and_gets_the_test(tracked):
    run, _ = tracked
    first, second = files(run)
    metric = defined(first)["val/ndcg@10/tail"]
    assert metric.step_metric == STEP and metric.summary.max
    assert summary(first)["val/ndcg@10"] == {"max": max(column(run, "val/ndcg@10"))}
    measured = json.loads((run / "eval/test.json").read_text())["sasrec"]["groups"]
    assert summary(second)["test/ndcg@10"] == measured["all"]["metrics"]["ndcg@10"]["mean"]
    assert summary(second)["test/ndcg@10/stratum=0"] == measured["stratum=0"]["metrics"]["ndcg@10"]["mean"]
    assert summary(second)["gate/r"].startswith("INCONCLUSIVE. r against r, 1 training seed a side. ")
    assert summary(second)["test/ndcg@10/tail"] == measured["tail"]["metrics"]["ndcg@10"]["mean"]


@pytest.mark.slow
def test_checkpoints_and_report_are_artifacts_with_aliases(tracked):
    run, _ = tracked
    first, second = files(run)
    models = {tuple(sorted(a.aliases)): a for a in artifacts(first) if a.type == "model"}
    assert set(models) == {("best", "latest"), ("last", "latest")}
    assert len({a.name for a in models.values()}) == 1, "versions of one artifact"
    for alias, artifact in models.items():
        [content] = artifact.manifest.contents
        assert content.path == f"{alias[0]}.ckpt"
        assert Path(content.local_path) == (run / "checkpoints" / content.path).resolve(), "sent from where it lies"
    [report] = [a for a in artifacts(second) if a.type == "report"]
    assert "last" in report.aliases and "index.html" in {c.path for c in report.manifest.contents}


@pytest.mark.slow
def test_the_table_has_a_row_for_each_epoch_and_group(tracked):
    run, _ = tracked
    [found] = [table(run, line) for line in history(files(run)[0]) if EPOCHS in str(line.keys())]
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]
    assert {(row["epoch"], row["group"]) for row in rows} == {
        (e, g) for e in (1, 2) for g in ("all", "head", "tail", "stratum=0", "stratum=1", "stratum=2")
    }
    assert [row["ndcg@10"] for row in rows if row["group"] == "tail"] == column(run, "val/ndcg@10/tail")
    assert {(row["method"], row["run"]) for row in rows} == {("slurm-17", "r")}


def test_two_runs_of_one_process_are_two(data, tmp_path):
    for name in ("a", "b"):
        train(tiny_config(data, tmp_path, "tracking.wandb=offline", f"name={name}", "trainer.max_epochs=1"))
    [a], [b] = files(tmp_path / "a"), files(tmp_path / "b")
    assert run_of(a).run_id != run_of(b).run_id
    assert len(history(a)) == len(history(b)) > 0


def test_online_without_a_key_goes_on_offline_and_says_so_once(data, tmp_path, capsys):
    train(tiny_config(data, tmp_path, "tracking.wandb=online", "trainer.max_epochs=1"))
    notes = capsys.readouterr().err
    assert notes.count("no API key is configured") == 1 and "going on offline" in notes
    [file] = files(tmp_path / "r")
    assert file.parent.name.startswith("offline-run-") and history(file)


def test_a_failed_run_is_closed_as_failed(data, tmp_path):
    with pytest.raises(UserError, match="diverged"):
        train(tiny_config(data, tmp_path, "tracking.wandb=offline", "optim.lr=1e30", "trainer.checkpoint_every_steps=0"))
    [file] = files(tmp_path / "r")
    assert exit_code_of(file) == 1


def test_off_writes_nothing(data, tmp_path):
    train(tiny_config(data, tmp_path, "trainer.max_epochs=1"))
    assert not (tmp_path / "r" / "wandb").exists()


def test_a_wrong_mode_is_refused():
    with pytest.raises(ValueError, match="off, offline, online"):
        TrackingConfig(wandb="onlien")
    with pytest.raises(ValueError, match="none, report, all"):
        TrackingConfig(artifacts="everything")


def services():
    """Processes of W&B that this process started."""
    words = [path.read_text().replace(")", "(").split("(") for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return [int(pid) for pid, name, rest in words if name.startswith("wandb") and int(rest.split()[1]) == os.getpid()]


def opened(folder, notes):
    tracked = Tracked(RunFolder(folder), name="n", run_id="i")
    run = open_run(TrackingConfig(wandb="offline"), tracked, notes.append)
    return WandbLogger(run, tracked, with_checkpoints=False, on_note=notes.append)


def test_a_service_that_dies_ends_tracking_and_not_training(tmp_path):
    notes = []
    logger = opened(tmp_path, notes)
    assert services()
    for service in services():
        os.kill(service, signal.SIGKILL)
    for step in range(100):  # what is on its way when the service dies may still be taken
        logger.log_metrics({"a": step}, step)
    logger.finalize("success")
    assert len([note for note in notes if "is lost" in note and "going on without it" in note]) == 1
    again = opened(tmp_path, notes)
    again.log_metrics({"a": 1.0}, 1)
    again.finalize("success")
    *_, last = sorted(tmp_path.glob("wandb/offline-run-*"), key=lambda folder: folder.stat().st_mtime_ns)
    [file] = last.glob("*.wandb")
    while exit_code_of(file) is None:  # written a moment after
        time.sleep(0.05)
    assert {"a": 1, STEP: 1} in history(file), "the next run has a service of its own"


def test_a_run_that_will_be_requeued_says_so(tmp_path):
    logger = opened(tmp_path, [])
    try:
        raise Stopped(3, requeue=True)
    except Stopped:
        logger.finalize("failed")
    [file] = files(tmp_path)
    assert was_preempted(file) and exit_code_of(file) == 1


def test_a_server_is_tried_for_seconds_and_not_for_half_a_minute(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        assert unreachable(f"http://127.0.0.1:{port}/api") is None
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        assert unreachable("http://server.invalid") is None, "the proxy is who must answer"
    monkeypatch.delenv("HTTP_PROXY")
    assert "out of reach" in unreachable(f"http://127.0.0.1:{port}")
    assert "out of reach" in unreachable("http://server.invalid", patience_s=0.1)


@pytest.mark.slow
def test_online_without_a_server_goes_on_offline(data, tmp_path):
    words = tiny_words(data, tmp_path, "tracking.wandb=online", "trainer.max_epochs=1")
    server = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = ltrec("train", *words, timeout=200, **server)
    assert "going on offline" in done.stderr
    assert checkpoint(tmp_path / "r")["global_step"] == 4
    assert history(files(tmp_path / "r")[-1])
    assert "0" * 40 not in done.stdout + done.stderr


@pytest.mark.slow
def test_only_rank_0_writes(data, tmp_path):
    ltrec("train", *tiny_words(data, tmp_path, "tracking.wandb=offline", "trainer.max_epochs=1"), processes=2)
    [file] = files(tmp_path / "r")
    assert without_clock(history(file)) == as_history(lines_of(tmp_path / "r"))
