"""What a job may ask for, and its #SBATCH lines."""

from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.slurm.job import Job, seconds_of
from ltrec.launch.slurm.setup_lines import stage_of


def lines(job, tasks=1):
    return list(job.directives("mine", Path("/there"), Path("runs/mine/launch/slurm-%j.log"), tasks))


def test_torchrun_is_one_task_a_node_with_the_cores_of_all_its_processes():
    assert lines(Job(nodes="2", gpus_per_node=8, cpus_per_process=3, time="1-00", account="a", partition="gpu,big")) == [
        "#SBATCH --job-name=mine",
        "#SBATCH --chdir=/there",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --cpus-per-task=24",
        "#SBATCH --gpus-per-node=8",
        "#SBATCH --time=1-00",
        "#SBATCH --partition=gpu,big",
        "#SBATCH --account=a",
        "#SBATCH --dependency=singleton",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --open-mode=append",
        "#SBATCH --output=runs/mine/launch/slurm-%j.log",
        "#SBATCH --requeue",
    ]


def test_python_is_a_task_for_each_process():
    shown = lines(Job(gpus_per_node=8, cpus_per_process=3, form="python"))
    assert "#SBATCH --ntasks-per-node=8" in shown and "#SBATCH --cpus-per-task=3" in shown


def test_unset_options_are_not_written():
    shown = "\n".join(lines(Job()))
    assert not [word for word in ("gpus", "partition", "account", "array") if f"--{word}" in shown]


def test_jobs_wait_for_others_of_their_name_and_arrays_do_not():
    assert "#SBATCH --dependency=afterok:12:13_4,singleton" in lines(Job(after="12:13_4"))
    assert "#SBATCH --dependency=afterok:12" in lines(Job(after="12"), tasks=3)
    assert "#SBATCH --array=0-2" in lines(Job(), tasks=3) and "dependency" not in "\n".join(lines(Job(), tasks=3))


def test_more_options_of_sbatch():
    assert lines(Job(extra=("qos=high", "exclusive", "constraint=a100&ib")))[-3:] == [
        "#SBATCH --qos=high",
        "#SBATCH --exclusive",
        "#SBATCH --constraint=a100&ib",
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"nodes": "0"}, "--nodes '0': write 2 or 1-4"),
        ({"nodes": "4-1"}, "--nodes 4-1: the smaller number comes first, 1-4"),
        ({"nodes": "2\n#SBATCH --uid=0"}, "--nodes"),
        ({"time": ""}, "--time ''"),
        ({"time": "soon"}, "--time 'soon'"),
        ({"partition": "gpu; rm -rf ~"}, "--partition"),
        ({"account": "$(id)"}, "--account"),
        ({"after": "afterany:3"}, "--after"),
        ({"extra": ("wrap=`id`",)}, "--sbatch wrap=`id`: the job runs the script"),
        ({"extra": ("nodes=3",)}, "--sbatch nodes=3: use --nodes"),
        ({"mount": ("/data",)}, "--mount /data is for --container"),
        ({"stage": ""}, "--stage '': write an absolute folder of the nodes, or the name of a variable"),
        ({"stage": "scratch/x"}, "--stage 'scratch/x'"),
        ({"stage": "/"}, "--stage '/'"),
        ({"stage": "/a\nb"}, "--stage"),
        ({"stage": "$(id)"}, "--stage"),
        ({"setup": ("if true; then",)}, "is not a complete shell command"),
        ({"setup": ("echo 'a",)}, "is not a complete shell command"),
        ({"setup": ("# <<<",)}, "cannot be written into a job script"),
        ({"setup": ("a\x00b",)}, "cannot be written into a job script"),
        ({"env": ("A",)}, "--env 'A': write NAME=value"),
        ({"env": ("1A=b",)}, "--env '1A=b'"),
        ({"env": ("A=b\nc",)}, "--env"),
        ({"env": ("A=1", "A=2")}, "--env A=... is given 2 times"),
        ({"env": ("UID=0",)}, "--env UID=0: it belongs to the shell"),
        ({"env": ("RANK=0",)}, "--env RANK=0: the script and torchrun set it"),
        ({"env": ("SLURM_JOB_ID=1",)}, "--env SLURM_JOB_ID=1: Slurm sets it"),
        ({"env": ("BASH_ENV=/x",)}, "--env BASH_ENV=/x"),
        ({"env": ("PET_NNODES=1",)}, "torchrun reads its options from it"),
        ({"env": ("CUDA_VISIBLE_DEVICES=0",)}, "Slurm decides which GPUs"),
        ({"env": ("PATH=/x",)}, "use --setup"),
        ({"gpus_per_node": -1}, "--gpus-per-node must be at least 0"),
        ({"cpus_per_process": 0}, "--cpus must be at least 1"),
        ({"processes_per_node": -1}, "--processes must be at least 0"),
        ({"time": "3", "notice": 120}, "might requeue for ever"),
        ({"profile": -1}, "--profile must be at least 0"),
        ({"form": "python", "max_restarts": 1}, "needs torchrun"),
    ],
)
def test_refused_in_one_line(options, told):
    with pytest.raises(UserError) as caught:
        Job(**options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("30", 1800), ("1:30", 90), ("4:00:10", 14410), ("1-0", 86400), ("2-01", 176400), ("1-2:03", 93780), ("0-0:0:5", 5)],
)
def test_slurm_times(time, seconds):
    assert seconds_of(time) == seconds


SECRET = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize(
    "options",
    [
        {"extra": ("export=ALL,WANDB_API_KEY=abc",)},
        {"env": ("WANDB_API_KEY=abc",)},
        {"env": (f"ANY={SECRET}",)},
        {"setup": ("export HF_TOKEN=abc",)},
        {"setup": (f"wandb login {SECRET}",)},
        {"container": "docker://me:abc@site/x"},
    ],
)
def test_a_secret_is_refused_without_repeating_it(options):
    with pytest.raises(UserError, match="export it before you submit") as caught:
        Job(**options)
    assert "abc" not in str(caught.value) and SECRET not in str(caught.value)


def test_the_value_of_a_secret_variable_is_refused_under_any_name(monkeypatch):
    monkeypatch.setenv("SITE_TOKEN", "open-sesame")
    with pytest.raises(UserError, match="export it before you submit"):
        Job(env=("GREETING=open-sesame",))


def test_setup_lines_may_read_secrets_on_the_node():
    lines = ('export WANDB_API_KEY="$(cat ~/.key)"', "export HF_TOKEN=$MINE", "module load keyutils/1.6", "source /etc/token.sh")
    assert Job(setup=lines).setup == lines


@pytest.mark.parametrize(
    ("typed", "stage"),
    [(None, None), ("", ""), ("SLURM_TMPDIR", "$SLURM_TMPDIR"), ("$TMPDIR", "$TMPDIR"), ("${T}", "$T"), ("/local/a", "/local/a")],
)
def test_a_variable_may_be_written_in_any_way(typed, stage):
    assert stage_of(typed) == stage
