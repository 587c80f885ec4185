"""W&B offline files hold what metrics.jsonl holds; tracking never stops training."""

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.training import train
from ltrec.tracking.config import TrackingConfig
from tests.support.commands import ltrec
from tests.support.tiny_run import checkpoint, lines_of, tiny_config, tiny_data, tiny_words
from tests.support.wandb_file import config_of, exit_code_of, files, history, run_of

STEP = "trainer/global_step"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("data"))


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
    return [{k: v for k, v in line.items() if not k.startswith("throughput/")} for line in lines]


def test_offline_holds_every_line_and_a_resumed_run_goes_on_under_its_id(data, tmp_path, capsys):
    words = ["tracking.wandb=offline", "tracking.project=p", "tracking.group=g", "tracking.tags=[a, b]"]
    train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=2"))
    run = tmp_path / "r"
    first = lines_of(run)
    assert "wandb sync" in capsys.readouterr().err
    train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=3"))
    one, two = files(run)
    assert without_clock(history(one)) == as_history(first)
    assert without_clock(history(two)) == as_history(lines_of(run)[len(first) :])
    assert {STEP, "val/ndcg@10/tail", "train/loss", "lr", "grad_norm"} <= {key for line in history(one) for key in line}
    a, b = run_of(one), run_of(two)
    assert a.run_id == b.run_id and a.run_id.startswith("r-")
    assert (a.project, a.run_group, a.display_name, sorted(a.tags)) == ("p", "g", "r", ["a", "b"])
    assert config_of(one)["model"]["width"] == 8


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
    with pytest.raises(ValueError, match="off, offline or online"):
        TrackingConfig(wandb="onlien")


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
