"""Several runs on this machine, with stand-ins for training: Python programs that know their run folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltrec.config.load import load
from ltrec.launch.local_jobs import DONE, ReceivedSignals, Task, kill, record_signals, run_all
from ltrec.launch.processor_shares import Share
from ltrec.run.process.cores import cores_of

UNTIL_STOP = "import json, pathlib, time\nwhile not pathlib.Path('STOP').exists(): time.sleep(0.02)\n"
SAVES = UNTIL_STOP + "pathlib.Path('REQUEUE').write_text(json.dumps({'step': 7}))"


@pytest.fixture
def task(tmp_path):
    """Call it with a run's name and its program, which runs in the run folder."""

    def make(name, program, **variables):
        run = load([], [f"name={name}", f"out={tmp_path}"])
        begin = f"import os; os.makedirs({str(tmp_path / name)!r}, exist_ok=True); os.chdir({str(tmp_path / name)!r})\n"
        (tmp_path / name).mkdir()
        return Task(run, lambda share: [sys.executable, "-S", "-c", begin + program], variables)

    return make


def ended(tasks, shares=None, received=None, said=None):
    outcomes = run_all(tasks, shares or [Share()], received or ReceivedSignals(), (said if said is not None else []).append)
    assert [outcome.task for outcome in outcomes] == list(tasks)
    return [outcome.state for outcome in outcomes]


def test_a_failing_run_stops_no_other_and_says_why(task):
    said = []
    program = "import sys; print('much'); print('\\x1b[31merror: no such data\\x1b[0m', file=sys.stderr); print('bye'); sys.exit(2)"
    tasks = [task("a", "print('fine')"), task("b", program), task("c", "print('fine too')")]
    assert ended(tasks, said=said) == [DONE, "failed (exit 2)", DONE]
    assert [line.partition(",")[0] for line in said if "log" not in line] == [
        "[1/3] a: done",
        "[2/3] b: failed (exit 2)",
        "[3/3] c: done",
    ]
    assert said[3].endswith(": error: no such data") and [task.log.read_text() for task in tasks][::2] == ["fine\n", "fine too\n"]
    assert f"log {tasks[0].log}" in said[0] and "1 process on the CPU" in said[0]


def test_as_many_at_a_time_as_there_are_shares_each_in_its_own(task, tmp_path):
    cores = cores_of()
    if len(cores) < 2:
        pytest.skip("one core")
    program = (
        "import os, time, pathlib\nprint(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])\n"
        "pathlib.Path('../' + {0!r}).touch()\n"
        "while len(list(pathlib.Path('..').glob('begun-*'))) < {1}: time.sleep(0.02)\n"
    )
    tasks = [task(name, program.format(f"begun-{name}", number)) for name, number in (("a", 2), ("b", 2), ("c", 3))]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        assert ended(tasks, [Share(cores=(core,), jobs=len(cores)) for core in cores[:2]]) == [DONE] * 3
    used = {name: (tmp_path / name / "launch" / "train.log").read_text() for name in "abc"}
    assert used["a"] == f"{list(cores[0])} 1\n" and used["b"] == f"{list(cores[1])} 1\n" and used["c"] in (used["a"], used["b"])


def test_files_of_an_earlier_attempt_are_ignored_and_its_log_is_appended_to(task, tmp_path):
    one = task("a", "import pathlib; print(pathlib.Path('STOP').exists(), pathlib.Path('REQUEUE').exists())")
    one.log.parent.mkdir(parents=True)
    one.log.write_text("before\n")
    for name in ("STOP", "REQUEUE"):
        (tmp_path / "a" / name).write_text("{}")
    assert ended([one]) == [DONE] and one.log.read_text() == "before\nFalse False\n"


def test_each_task_has_its_own_variables(task):
    one = task("a", "import os; print(os.environ['PLACE'], os.environ['CUDA_VISIBLE_DEVICES'])", PLACE="here")
    assert ended([one], [Share(gpus=("3",))]) == [DONE] and one.log.read_text() == "here 3\n"


class AfterOutput(ReceivedSignals):
    """Signals that arrive once a run has begun."""

    def __init__(self, log, *numbers):
        self.log, self.numbers = log, numbers

    @property
    def signals(self):
        return list(self.numbers) if self.log.exists() and self.log.stat().st_size else []


def test_ctrl_c_saves_all_runs_and_starts_no_more(task, tmp_path):
    said = []
    tasks = [task("a", "print(1, flush=True)\n" + SAVES), task("b", SAVES), task("c", "print('never')")]
    states = ended(tasks, [Share(), Share()], AfterOutput(tasks[0].log, signal.SIGINT), said)
    assert states == ["stopped at step 7", "stopped at step 7", "not started"] and not tasks[2].log.exists()
    assert "asking 2 run(s) to save and end; Ctrl-C again kills them" in said
    assert not (tmp_path / "a" / "STOP").exists()


def test_a_second_ctrl_c_kills_runs_and_their_children(task, tmp_path):
    program = (
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "open('inner', 'w').write(str(inner.pid)); print(1, flush=True); time.sleep(600)"
    )
    one = task("a", program)
    assert ended([one], received=AfterOutput(one.log, signal.SIGINT, signal.SIGINT)) == ["killed (SIGKILL)"]
    inner = int((tmp_path / "a" / "inner").read_text())
    stat = Path(f"/proc/{inner}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_a_run_stopped_by_somebody_else_is_not_done(task):
    assert ended([task("a", "import pathlib; pathlib.Path('REQUEUE').write_text('{\"step\": 3}')")]) == ["stopped at step 3"]
    assert ended([task("b", "import sys; sys.exit(143)")]) == ["stopped"]


def test_signals_are_recorded_and_handlers_restored():
    before = signal.getsignal(signal.SIGINT)
    with record_signals() as received:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert received.signals == [signal.SIGINT, signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) == before


def test_a_run_ends_when_its_launcher_dies(tmp_path):
    """A launcher that is killed leaves no process behind."""
    child = [
        sys.executable,
        "-m",
        "ltrec.run.process.parent_death_signal",
        "-",
        sys.executable,
        "-S",
        "-c",
        "import time; print(1, flush=True); time.sleep(600)",
    ]
    launcher = f"import subprocess, time; p = subprocess.Popen({child!r}); print(p.pid, flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "1\n"
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killing_a_dead_process_does_nothing():
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    kill(process.pid)
