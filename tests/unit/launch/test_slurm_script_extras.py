"""The job script with what the user asks besides: setup, variables, mounts, a copy of the data on every node."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.script import shipped_script
from tests.support.slurm_site import HOSTILE, filled, script

LINES = (
    'export GREETING="good day"',
    "cd /",
    "set +e; unset_before=$UNSET_BEFORE",
    "if true; then\n  export MORE=1\nfi",
    "port=1",
)


def test_setup_runs_before_training_and_changes_nothing_else(site):
    text = script(Path("runs/a"), job=Job(setup=LINES))
    assert "\n".join(LINES) in text and "# module load cuda" in text
    code, words = site.run(text)
    assert code == 0 and words[-1] == "runs/a/config.yaml" and "--rdzv-endpoint=10.0.0.7:20011" in words
    assert (site.variables()["GREETING"], site.variables()["MORE"]) == ("good day", "1")
    assert Path("runs/a/launch/train.log").exists()


def test_setup_that_fails_ends_the_job_and_says_which_line(site):
    code, words = site.run(script(Path("runs/a"), job=Job(setup=("true", "ls /no/such/folder", "export A=1"))))
    assert code == 2 and words == []
    assert "setup ended with 2: ls /no/such/folder" in Path("runs/a/launch/train.log").read_text()


VALUES = {"A": "plain", "B": "two words, a comma=and 'quotes' \"$HOME\" `id` \\", "http_proxy": "http://proxy:3128", "C": ""}


@pytest.mark.parametrize("container", ["", "x.sif", "image"])
def test_variables_are_exported_and_enter_the_container_as_they_are(site, container):
    job = Job(env=tuple(f"{name}={value}" for name, value in VALUES.items()), container=container)
    code, words = site.run(script(Path("runs/a"), job=job))
    assert code == 0 and {name: site.variables()[name] for name in VALUES} == VALUES
    inside = words[words.index("env") + 1 : words.index("/py 3")] if container else []
    assert inside == ([f"{name}={value}" for name, value in VALUES.items()] if container else [])
    assert site.variables()["SLURM_EXPORT_ENV"] == "ALL"


@pytest.mark.parametrize("name", ["python", "port", "step", "run_folder", "code", "mounts"])
def test_variables_of_the_script_are_refused(name):
    with pytest.raises(UserError, match=f"--env {name}=...: the job script has a variable of that name"):
        script(Path("runs/a"), job=Job(env=(f"{name}=x",)))


@pytest.mark.parametrize("container", ["x.sif", "image"])
def test_mounts_reach_the_container(site, container):
    mounts = ["/data/a b:/data/a b", "/scratch:/s:ro"]
    _, words = site.run(filled(shipped_script().read_text(), Path("runs/a"), job=Job(container=container), mounts=mounts))
    if container == "x.sif":
        binds = [words[i + 1] for i, word in enumerate(words) if word == "--bind"]
        assert binds == [os.getcwd(), *mounts] and words.index(container) > words.index(mounts[-1])
    else:
        assert f"--container-mounts={os.getcwd()}:{os.getcwd()},{','.join(mounts)}" in words


# srun writes what it was to do, one line each; copying takes as long as the test says.
STEPS = 'printf "%s\\n" "$*" >>steps; [[ "$*" != *cli.node* ]] || { eval "$COPY"; }; [[ "$*" != *train* ]] || { eval "$TRAIN"; }'


def steps_of(site, text, copy=":", train=":"):
    """(exit code, what steps were run)"""
    code, _ = site.run(text, srun=STEPS, COPY=copy, TRAIN=train)
    kinds = ("cli.node_copy", "node_copy.place remove", "train")
    return code, [next(kind for kind in kinds if kind in line) for line in Path("steps").read_text().splitlines()]


@pytest.mark.parametrize(("train", "code"), [(":", 0), ("exit 3", 3), ("touch runs/a/REQUEUE", 0)])
def test_data_is_copied_once_per_node_read_and_removed_however_training_ends(site, train, code):
    text = script(Path("runs/a"), job=Job(nodes="2", gpus_per_node=2, form="python", stage="$NODE_DISK"))
    assert steps_of(site, text, train=train) == (code, ["cli.node_copy", "train", "node_copy.place remove"])
    copy, trained, _ = Path("steps").read_text().splitlines()
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1 /py 3 -m ltrec.cli.node_copy runs/a/config.yaml" in copy
    assert "/py 3 -m ltrec.run.node_copy.place around /py 3 -m ltrec train runs/a/config.yaml" in trained
    assert site.variables()["LTREC_STAGE"] == "$NODE_DISK"
    assert site.requeued() == ("20011" if "REQUEUE" in train else None)


def test_without_a_copy_there_is_no_training(site):
    text = script(Path("runs/a"), job=Job(stage="/disk"))
    assert steps_of(site, text, copy="exit 2") == (2, ["cli.node_copy", "node_copy.place remove"])


def test_the_time_warning_during_the_copy_ends_it_and_requeues(site):
    text = script(Path("runs/a"), job=Job(stage="/disk"))
    process = site.start(text, SRUN=STEPS, COPY="exec sleep 600", TRAIN=":")
    deadline = time.monotonic() + 60
    while not Path("steps").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 0 and site.requeued() == "20011"
    assert "train" not in Path("steps").read_text().replace("ltrec", "") and not Path("runs/a/STOP").exists()


def test_a_container_sees_the_disk_of_the_node(site):
    text = script(Path("runs/a"), job=Job(stage="$NODE_DISK", container="x.sif"))
    _, words = site.run(text, NODE_DISK="/local/7")
    assert "/local/7:/local/7" in words
    assert "--bind" in site.run(text)[1], "unset here: node_copy says so"


def test_a_script_older_than_a_setting_is_refused_only_if_it_is_used():
    old = re.sub(r"\$\{?#?(stage|environment)\b", "$none", shipped_script().read_text())
    assert filled(old, Path("runs/a"))
    for job in (Job(stage="/disk"), Job(env=("A=1",))):
        with pytest.raises(UserError, match="does nothing with its setting"):
            filled(old, Path("runs/a"), job=job)
    with pytest.raises(UserError, match="no block '# >>> what comes first'"):
        filled(old.replace("# >>> what comes first", ""), Path("runs/a"), job=Job(setup=("true",)))


@pytest.mark.parametrize(
    "job",
    [
        Job(),
        Job(setup=LINES, env=("A='x' $(y) `z`",), stage="/a 'b' $(c)", container="a 'b'.sif"),
        Job(form="python", gpus_per_node=8, stage="$X", extra=("export=ALL,A=b", "comment=two words ' \" #")),
    ],
)
def test_bash_reads_every_script(job):
    done = subprocess.run(["bash", "-n"], input=script(Path(HOSTILE), job=job), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
