"""The job script, filled and run by bash, with stand-ins for Slurm. Whatever a path holds, nothing but the script is run."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.script import shipped_script
from tests.support.slurm_site import HOSTILE, filled, script


def test_filling_the_shipped_script_twice_gives_the_same():
    text = shipped_script().read_text()
    assert subprocess.run(["bash", "-n", shipped_script()], check=False).returncode == 0
    once = script(Path("runs/a"))
    assert once != text
    assert filled(once, Path("runs/a")) == once
    names = {line.split("=")[0] for line in text.splitlines() if line[:1].isalpha() and "=" in line}
    written = {line.split("=")[0] for line in once.splitlines() if line[:1].isalpha() and "=" in line}
    assert written == names, "every setting of the file is written, and no other"


def test_torchrun_on_every_node_with_one_rendezvous(site):
    code, words = site.run(script(Path("runs/a"), job=Job(nodes="2", gpus_per_node=4, max_restarts=1)))
    assert code == 0 and not site.requeued()
    assert words == [
        "--kill-on-bad-exit=1",
        "--cpus-per-task=3",
        "/py 3",
        "-m",
        "torch.distributed.run",
        "--nnodes=2",
        "--nproc-per-node=4",
        "--max-restarts=1",
        "--rdzv-backend=c10d",
        "--rdzv-id=20011-0",
        "--rdzv-endpoint=10.0.0.7:20011",
        *("-m", "ltrec", "train", "runs/a/config.yaml"),
    ]


@pytest.mark.parametrize(
    ("job", "variables", "threads"),
    [
        (Job(gpus_per_node=4), {"SLURM_CPUS_PER_TASK": "32"}, "8"),
        (Job(gpus_per_node=4), {"SLURM_CPUS_PER_TASK": "3"}, "1"),
        (Job(gpus_per_node=4, form="python"), {"SLURM_CPUS_PER_TASK": "8"}, "8"),
        (Job(gpus_per_node=4), {"SLURM_CPUS_PER_TASK": "32", "OMP_NUM_THREADS": "5"}, "5"),
    ],
)
def test_the_cores_of_a_task_are_shared_among_its_processes(site, job, variables, threads):
    """torchrun would say 1 to all of them."""
    site.environment = {key: value for key, value in site.environment.items() if key != "OMP_NUM_THREADS"} | variables
    site.run(script(Path("runs/a"), job=job))
    assert (site.folder / "arguments.threads").read_text().strip() == threads


def test_python_for_every_process(site):
    code, words = site.run(
        script(Path("runs/a"), job=Job(form="python")), srun='[[ "$MASTER_ADDR:$MASTER_PORT" == 10.0.0.7:20011 ]]'
    )
    assert code == 0
    assert words[2:] == ["/py 3", "-m", "ltrec", "train", "runs/a/config.yaml"]


@pytest.mark.parametrize("form", ["torchrun", "python"])
def test_a_profile_is_passed_on_to_training(site, form):
    _, words = site.run(script(Path("runs/a"), job=Job(form=form, profile=20)))
    assert words[-5:] == ["ltrec", "train", "runs/a/config.yaml", "--profile", "20"]


def test_a_node_without_an_address_is_reached_by_name(site):
    _, words = site.run(script(Path("runs/a")), ADDRESS="")
    assert "--rdzv-endpoint=node-a:20011" in words


def test_a_folder_with_shell_characters_works(site):
    """It is no one's name of a run, but it may be the folder above."""
    code, words = site.run(script(Path(HOSTILE) / "r", job=Job(container="x'; touch PWNED; '.sif")))
    assert code == 0
    assert words[-1] == f"{HOSTILE}/r/config.yaml" and "x'; touch PWNED; '.sif" in words
    assert sorted(path.name for path in Path().iterdir()) == sorted(["job.sbatch", HOSTILE])


def test_every_task_of_an_array_has_its_folder_and_log(site):
    code, words = site.run(script(Path("runs/a"), Path("runs/b c")), SLURM_ARRAY_TASK_ID="1")
    assert code == 0 and words[-1] == "runs/b c/config.yaml"
    assert Path("runs/b c/launch/train.log").exists() and not Path("runs/a").exists()


def test_the_code_of_the_run_comes_first(site):
    Path("runs/a/code/123").mkdir(parents=True)
    site.run(script(Path("runs/a"), code="code/123"), PYTHONPATH="/mine")
    assert (site.folder / "arguments.path").read_text().strip() == f"{Path('runs/a/code/123').resolve()}:/mine"


@pytest.mark.parametrize("container", ["images/ltrec.sif", "ghcr.io#site/ltrec:1"])
def test_containers(site, container):
    _, words = site.run(script(Path("runs/a"), job=Job(container=container)))
    if container.endswith(".sif"):
        assert words[2:8] == ["apptainer", "exec", "--nv", "--bind", os.getcwd(), "--pwd"] and words[9] == container
    else:
        assert f"--container-image={container}" in words and f"--container-workdir={os.getcwd()}" in words


@pytest.mark.parametrize("code", [1, 2, 137, 143])
def test_a_failure_is_the_job_s_failure(site, code):
    assert site.run(script(Path("runs/a")), srun=f"touch runs/a/REQUEUE; exit {code}")[0] == code
    assert not site.requeued()


def test_files_of_the_last_attempt_are_ignored(site):
    Path("runs/a").mkdir(parents=True)
    for name in ("STOP", "REQUEUE"):
        (Path("runs/a") / name).touch()
    assert site.run(script(Path("runs/a")), srun="[[ ! -e runs/a/STOP ]]")[0] == 0
    assert not site.requeued()


def test_a_job_that_requeues_too_often_ends(site):
    assert site.run(script(Path("runs/a")), srun="touch runs/a/REQUEUE", SLURM_RESTART_COUNT="200")[0] == 1
    assert not site.requeued()


@pytest.mark.parametrize("signals", [1, 3])
def test_the_time_warning_stops_training_and_requeues(site, signals):
    """Training takes its time to answer: the script waits for it, however often it is warned."""
    answer = "while [[ ! -e runs/a/STOP ]]; do sleep 0.05; done; sleep 0.5; touch runs/a/REQUEUE"
    process = site.start(script(Path("runs/a")), SRUN=answer)
    deadline = time.monotonic() + 60
    while not Path("runs/a/launch/train.log").exists() or "training on" not in Path("runs/a/launch/train.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for _ in range(signals):
        time.sleep(0.1)
        process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 0
    assert site.requeued() == "20011"
    log = Path("runs/a/launch/train.log").read_text()
    assert log.index("nearly over") < log.index("back into the queue")


def test_a_script_without_blocks_is_refused():
    with pytest.raises(UserError, match="no block '# >>> what is run'"):
        text = "#!/bin/bash\n# >>> what Slurm is asked for\n#SBATCH --nodes=1\n# <<<\n"
        filled(text, Path("a"))
