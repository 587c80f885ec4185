"""The job script, filled and run by bash, with stand-ins for Slurm. Whatever a path holds, nothing but the script is run."""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.slurm_job import Job
from ltrec.launch.slurm_script import fill, shipped_script

HOSTILE = "r'; touch PWNED; $(touch PWNED) `touch PWNED` \"& *\\"

# srun: writes its arguments, line by line, and its environment, does what $SRUN says, and returns that.
SRUN = """#!/usr/bin/env bash
printf "%s\\n" "$@" >"$ARGUMENTS"
printf "%s\\n" "${PYTHONPATH:-}" >"$ARGUMENTS.path"
printf "%s\\n" "$OMP_NUM_THREADS" >"$ARGUMENTS.threads"
env >"$ARGUMENTS.env"
eval "$SRUN"
"""
SCONTROL = """#!/usr/bin/env bash
case "$1 $2" in
  "show hostnames") printf 'node-a\\nnode-b\\n' ;;
  "show node") printf 'NodeName=%s Arch=x86_64\\n   %s NodeHostName=x\\n' "$3" "$ADDRESS" ;;
  requeue*) printf '%s\\n' "$2" >"$ARGUMENTS.requeued" ;;
esac
"""


@dataclass
class Site:
    folder: Path
    environment: dict

    def start(self, text, **variables):
        Path("job.sbatch").write_text(text)
        return subprocess.Popen(["bash", "job.sbatch"], env={**self.environment, **variables})

    def run(self, text, srun=":", **variables):
        """(exit code, arguments of srun)"""
        code = self.start(text, SRUN=srun, **variables).wait(60)
        said = self.folder / "arguments"
        return code, said.read_text().splitlines() if said.exists() else []

    def variables(self):
        """What a step finds in its environment."""
        return dict(line.split("=", 1) for line in (self.folder / "arguments.env").read_text().splitlines() if "=" in line)

    def requeued(self):
        """Which job was."""
        said = self.folder / "arguments.requeued"
        return said.read_text().strip() if said.exists() else None


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder to run in, with srun and scontrol first on the PATH."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "20011",
        "SLURM_JOB_NODELIST": "node-[a-b]",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "3",
        "ARGUMENTS": str(tmp_path / "arguments"),
        "ADDRESS": "NodeAddr=10.0.0.7",
        "SRUN": ":",
    }
    return Site(tmp_path, environment)


def script(*runs, job=None, code=""):
    text = shipped_script().read_text()
    return filled(text, *runs, job=job, code=code)


def filled(text, *runs, job=None, code="", mounts=()):
    where = {"folder": Path.cwd(), "output": Path("slurm-%j.log")}
    return fill(text, job or Job(), name="n", **where, runs=runs, python="/py 3", code=code, mounts=mounts)


def test_the_shipped_script_is_a_script_and_filling_it_is_repeatable():
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
def test_a_profile_is_asked_of_training(site, form):
    _, words = site.run(script(Path("runs/a"), job=Job(form=form, profile=20)))
    assert words[-5:] == ["ltrec", "train", "runs/a/config.yaml", "--profile", "20"]


def test_a_node_without_an_address_goes_by_its_name(site):
    _, words = site.run(script(Path("runs/a")), ADDRESS="")
    assert "--rdzv-endpoint=node-a:20011" in words


def test_a_hostile_folder_is_a_folder(site):
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


def test_the_last_attempt_s_files_mean_nothing(site):
    Path("runs/a").mkdir(parents=True)
    for name in ("STOP", "REQUEUE"):
        (Path("runs/a") / name).touch()
    assert site.run(script(Path("runs/a")), srun="[[ ! -e runs/a/STOP ]]")[0] == 0
    assert not site.requeued()


def test_a_job_that_always_comes_back_ends(site):
    assert site.run(script(Path("runs/a")), srun="touch runs/a/REQUEUE", SLURM_RESTART_COUNT="200")[0] == 1
    assert not site.requeued()


@pytest.mark.parametrize("signals", [1, 3])
def test_the_warning_becomes_a_file_and_the_answer_a_requeue(site, signals):
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


LINES = (
    'export GREETING="good day"',
    "cd /",
    "set +e; unset_before=$UNSET_BEFORE",
    "if true; then\n  export MORE=1\nfi",
    "port=1",
)


def test_setup_runs_before_training_and_disturbs_nothing(site):
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
def test_variables_that_the_script_has_are_refused(name):
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
STEPS = 'printf "%s\\n" "$*" >>steps; [[ "$*" != *node_copy* ]] || { eval "$COPY"; }; [[ "$*" != *train* ]] || { eval "$TRAIN"; }'


def steps_of(site, text, copy=":", train=":"):
    """(exit code, what steps were run)"""
    code, _ = site.run(text, srun=STEPS, COPY=copy, TRAIN=train)
    kinds = ("node_copy", "node_place remove", "train")
    return code, [next(kind for kind in kinds if kind in line) for line in Path("steps").read_text().splitlines()]


@pytest.mark.parametrize(("train", "code"), [(":", 0), ("exit 3", 3), ("touch runs/a/REQUEUE", 0)])
def test_data_is_copied_once_per_node_read_and_removed_however_training_ends(site, train, code):
    text = script(Path("runs/a"), job=Job(nodes="2", gpus_per_node=2, form="python", stage="$NODE_DISK"))
    assert steps_of(site, text, train=train) == (code, ["node_copy", "train", "node_place remove"])
    copy, trained, _ = Path("steps").read_text().splitlines()
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1 /py 3 -m ltrec.launch.node_copy runs/a/config.yaml" in copy
    assert "/py 3 -m ltrec.launch.node_place around /py 3 -m ltrec train runs/a/config.yaml" in trained
    assert site.variables()["LTREC_STAGE"] == "$NODE_DISK"
    assert site.requeued() == ("20011" if "REQUEUE" in train else None)


def test_without_a_copy_there_is_no_training(site):
    text = script(Path("runs/a"), job=Job(stage="/disk"))
    assert steps_of(site, text, copy="exit 2") == (2, ["node_copy", "node_place remove"])


def test_time_that_is_over_while_copying_ends_the_copy_and_requeues(site):
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


def test_a_script_from_before_a_setting_is_refused_only_when_it_is_wanted():
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
