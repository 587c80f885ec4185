"""What a job may ask for, and its #SBATCH lines."""

from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.slurm_job import Job, quoted, seconds_of


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


def test_what_is_not_asked_for_is_not_written():
    shown = "\n".join(lines(Job()))
    assert not [word for word in ("gpus", "partition", "account", "array") if f"--{word}" in shown]


def test_jobs_wait_for_others_and_arrays_for_none_of_their_own():
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
        ({"nodes": "2\n#SBATCH --uid=0"}, "--nodes"),
        ({"time": ""}, "--time ''"),
        ({"time": "soon"}, "--time 'soon'"),
        ({"partition": "gpu; rm -rf ~"}, "--partition"),
        ({"account": "$(id)"}, "--account"),
        ({"after": "afterany:3"}, "--after"),
        ({"extra": ("comment=two words",)}, "--sbatch"),
        ({"extra": ("wrap=`id`",)}, "--sbatch"),
        ({"extra": ("nodes=3",)}, "writes --nodes itself"),
        ({"gpus_per_node": -1}, "--gpus-per-node must be at least 0"),
        ({"cpus_per_process": 0}, "--cpus-per-process must be"),
        ({"time": "3", "notice": 120}, "might come back for ever"),
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
def test_slurm_s_way_to_write_a_time(time, seconds):
    assert seconds_of(time) == seconds


def test_paths_are_quoted_and_lines_refused():
    assert quoted(Path("runs/a-b_c.d/slurm-%j.log")) == "runs/a-b_c.d/slurm-%j.log"
    assert quoted(Path('runs/a "b" \\ $(c)')) == '"runs/a \\"b\\" \\\\ $(c)"'
    with pytest.raises(UserError, match="cannot be written into a job script"):
        quoted(Path("runs/a\n#SBATCH --uid=0"))
