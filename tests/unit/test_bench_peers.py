"""benchmarks/peers: a peer is another process, known by the line that it prints; nothing is installed here."""

import json
import re
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement

from benchmarks.peers import __main__ as peers
from benchmarks.peers import tables
from benchmarks.peers.environment import python_of
from benchmarks.peers.export import export
from benchmarks.peers.inside.measured import Epochs, Job, Stopwatch, peak_mib, read_users
from benchmarks.peers.processes import Processes
from benchmarks.peers.sitting import Sitting, key_of, ledger_in
from benchmarks.peers.tables import OTHERS, OWN, ROUNDED, SYSTEMS, Cell, Plan, System
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from tests.support.shards import User, leave_one_out, write_dataset
from tests.support.source_tree import imports, parsed, python_files

FAKE = """
import json, pathlib, sys
job = json.loads(pathlib.Path(sys.argv[1]).read_text())
pathlib.Path(job["folder"], "left").write_text("")
print("library: {not the figures}")
print(json.dumps({"system": "Fake 1", "epochs_s": [4.0, %(cost)s + job["seed"]], "targets": [2, 1], "users": 10,
                  "evaluation_s": %(cost)s, "peak_mib": 100 * %(cost)s, "hr": 0.1, "ndcg": 0.05}))
"""


def fake_systems(tmp_path, monkeypatch, costs):
    """Systems whose scripts say what they cost."""
    found = {}
    for name, cost in costs.items():
        script = tmp_path / f"{name}.py"
        script.write_text(FAKE % {"cost": cost})
        found[name] = System(name, script)
    monkeypatch.setattr(tables, "SYSTEMS", found)


@pytest.fixture
def sitting(tmp_path):
    fetch_synthetic(SyntheticConfig(users=40, items=30, events_per_user=9.0), tmp_path / "logs" / "beauty")
    return Sitting(tmp_path / "results", tmp_path / "logs", Processes(tmp_path / "out", tmp_path / "environments"))


@pytest.mark.parametrize("name", OTHERS)
def test_every_peer_is_pinned_whole_and_measured_by_a_script(name):
    system = SYSTEMS[name]
    pins = [Requirement(line) for line in system.requirements.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pins)
    known = {pin.name.lower() for pin in pins}
    assert {"torch", "numpy", "pyarrow"} <= known
    assert known & {"replay-rec", "recbole", "rectools"}
    assert not [pin for pin in known if pin.startswith(("nvidia", "ltrec"))]
    assert system.script.exists() and system.unequal


def test_nothing_of_a_peer_is_imported_here():
    """Only by the scripts, each in its own environment."""
    files = [path for path in python_files("benchmarks") if path.parts[1] == "peers" and path.parts[2] != "inside"]
    found = {module.split(".")[0] for path in files for _, module, _ in imports(parsed(path))}
    assert "benchmarks" in found and len(files) > 8
    assert not {"replay", "recbole", "rectools", "pandas", "lightning"} & found


class FakeRun:
    """Commands as they would be run; one may fail."""

    def __init__(self, failing=""):
        self.failing, self.commands = failing, []

    def __call__(self, words):
        self.commands.append(" ".join(words))
        if "venv" in words:
            Path(words[-1]).mkdir()
        return "first line\nthe last line" if self.failing and self.failing in self.commands[-1] else ""


@pytest.mark.parametrize("uv", ["", "/bin/uv"])
def test_an_environment_is_made_once(tmp_path, monkeypatch, uv):
    monkeypatch.setattr("shutil.which", lambda name: uv or None)
    pins, run = tmp_path / "lib.txt", FakeRun()
    pins.write_text("# why\nother==1\ntorch==2.13.0\n")
    python = python_of(pins, tmp_path / "home", "https://index", run)
    assert all("--no-deps" in command and ("uv pip" in command) == bool(uv) for command in run.commands[1:])
    assert run.commands[1].endswith("--index-url https://index torch==2.13.0")
    assert run.commands[2].endswith(f"-r {pins}") and "--index-url" not in run.commands[2]
    assert python_of(pins, tmp_path / "home", "https://index", run) == python and len(run.commands) == 3
    pins.write_text("other==2\ntorch==2.13.0\n")
    assert python_of(pins, tmp_path / "home", "https://index", run) != python and len(run.commands) == 6


def test_a_peer_that_cannot_be_installed_is_skipped_and_said(tmp_path, capsys):
    pins = tmp_path / "lib.txt"
    pins.write_text("torch==2.13.0\n")
    assert python_of(pins, tmp_path, "https://index", FakeRun("--index-url")) is None
    assert "SKIPPED lib" in capsys.readouterr().err
    run = FakeRun()
    assert python_of(pins, tmp_path, "https://index", run) is not None and len(run.commands) == 3, "an unfinished one is made again"


def test_a_sitting_measures_what_is_not_known(sitting, tmp_path, monkeypatch, capsys):
    fake_systems(tmp_path, monkeypatch, {OWN: 1.0, "replay": 5.0})
    cells = (Cell("beauty", 50, steps=16), Cell("ml-100k", 50))
    sitting.measure(Plan(cells, (OWN, "replay"), rounds=2))
    found = ledger_in(sitting.results).lines("beauty")
    assert [(line["round"], line["system_name"]) for line in found] == [(0, OWN), (0, "replay"), (1, OWN), (1, "replay")], "in turn"
    assert [line["epochs_s"][1] for line in found] == [1.0, 5.0, 2.0, 6.0]
    assert [line["steps"] for line in found] == [0, 16, 0, 16]
    assert "SKIPPED ml-100k" in capsys.readouterr().err and not sitting.processes.failed
    monkeypatch.setattr(Processes, "figures", lambda *_: pytest.fail("it is known"))
    sitting.measure(Plan(cells, (OWN, "replay"), rounds=2))


def test_a_failure_is_said_and_the_others_go_on(sitting, tmp_path, monkeypatch):
    fake_systems(tmp_path, monkeypatch, {"replay": 5.0, OWN: 1.0})
    (tmp_path / "replay.py").write_text("import sys; print('{}'); sys.exit(3)")
    sitting.measure(Plan((Cell("beauty", 50),), ("replay", OWN), rounds=1))
    assert sitting.processes.failed == ["beauty at 50, round 0, replay"]
    assert [line["system_name"] for line in ledger_in(sitting.results).lines("beauty")] == [OWN]


def test_a_line_is_known_by_sizes_data_and_pins(tmp_path):
    pins = tmp_path / "pins.txt"
    pins.write_text("torch==1")
    system = System("A", tmp_path / "a.py", pins)
    job = {"histories": "/one", "data": "/two", "length": 50}
    key = key_of(job, "digest", system)
    assert key == key_of(job | {"histories": "/moved"}, "digest", System("A", tmp_path / "moved.py", pins))
    others = [key_of(job | {"length": 200}, "digest", system), key_of(job, "other", system)]
    pins.write_text("torch==2")
    assert len({key, *others, key_of(job, "digest", system)}) == 4


def test_the_export_holds_training_events_and_two_targets(tmp_path):
    users = [leave_one_out(0, [3, 1, 2, 5], 0), User("u1", [4, 4], 0, 2, -1, -1), leave_one_out(2, [2, 6, 1], 0)]
    write_dataset(tmp_path / "data", users, num_items=6)
    assert export(tmp_path / "data", tmp_path / "users.parquet") == 6
    table = pq.read_table(tmp_path / "users.parquet")
    assert table.to_pydict() == {"history": [[2, 0], [1]], "valid": [1, 5], "test": [4, 0]}
    job = Job(str(tmp_path / "users.parquet"), "", "", 0, 6, 50, 1, 0, 128, 64, 2, 2, 0.2, 1e-3, 256, 0)
    found = read_users(job)
    assert [history.tolist() for history in found.history] == [[2, 0], [1]]
    assert (found.valid.tolist(), found.test.tolist()) == ([1, 5], [4, 0])


class Counting(Epochs):
    def count(self, batch):
        return batch


def test_epochs_without_validation(monkeypatch):
    now = iter([0.0, 1.0, 5.0, 10.0, 10.0, 12.0])  # validated from 1 to 5; the next epoch begins at 10, training ends at 12
    monkeypatch.setattr(time, "process_time", lambda: next(now))
    clock = Counting()
    clock.on_train_epoch_start(None, None)
    clock.on_train_batch_end(None, None, None, 3, 0)
    clock.on_train_batch_end(None, None, None, 4, 1)
    clock.on_validation_start(None, None)
    clock.on_validation_end(None, None)
    clock.on_train_epoch_start(None, None)
    clock.on_train_batch_end(None, None, None, 5, 0)
    clock.on_train_end(None, None)
    assert (clock.seconds, clock.targets) == ([6.0, 2.0], [7, 5])


def test_a_stopwatch_adds_up_and_memory_is_that_of_the_process(monkeypatch):
    now = iter([1.0, 3.0, 10.0, 11.5])
    monkeypatch.setattr(time, "process_time", lambda: next(now))
    watch = Stopwatch()
    for _ in range(2):
        with watch:
            pass
    assert watch.seconds == 3.5
    assert 10 < peak_mib() < 100_000


def test_the_command_measures_writes_and_ends_in_one_line(sitting, tmp_path, monkeypatch, capsys):
    fake_systems(tmp_path, monkeypatch, {OWN: 1.0, ROUNDED: 0.5, "replay": 5.0})
    places = ["--logs", sitting.logs, "--out", sitting.processes.out, "--results", sitting.results]
    words = ["--log", "beauty", "--lengths", "50", "--peers", "replay", "--rounds", "1", "--epochs", "1", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["peers", *map(str, places), *words])
    assert peers.main() == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["ratios"] == {
        "beauty at 50": {"replay": {"training": 2.0, "evaluation": 5.0, "memory": 5.0}, "recbole": {}, "rectools": {}}
    }
    assert (sitting.results / "peers.md").exists()


def test_the_options_cut_the_plan(monkeypatch):
    words = [
        "--logs",
        "x",
        "--log",
        "beauty",
        "--lengths",
        "50,200",
        "--peers",
        "recbole",
        "--epochs",
        "3",
        "--steps",
        "7",
        "--rounds",
        "5",
    ]
    monkeypatch.setattr(sys, "argv", ["peers", *words])
    assert peers.plan_of(peers.arguments()) == Plan(
        (Cell("beauty", 50, 3, 7), Cell("beauty", 200, 3, 7)), (OWN, ROUNDED, "recbole"), 5
    )
    monkeypatch.setattr(sys, "argv", ["peers", "--logs", "x"])
    assert peers.plan_of(peers.arguments()) == Plan()
    monkeypatch.setattr(sys, "argv", ["peers", "--logs", "x", "--peers", "surprise"])
    with pytest.raises(SystemExit):
        peers.arguments()
