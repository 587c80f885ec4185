"""Torchrun's numbers, srun's numbers, and none."""

import pytest
from pytorch_lightning.plugins.environments import LightningEnvironment, TorchElasticEnvironment

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.launch.processes import Processes, cluster_environment, detect, translate_srun

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")

# What `srun --nodes=2 --ntasks-per-node=2 env` shows to its fourth task.
TASK = {
    "SLURM_JOB_ID": "31234",
    "SLURM_STEP_ID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_NTASKS": "4",
}


@pytest.fixture
def task(monkeypatch):
    """Become a task of srun, with some variables different."""

    def become(**different):
        for name in NAMES:
            monkeypatch.setenv(name, "")  # so that what is set below is undone
            monkeypatch.delenv(name)
        for name, value in {**TASK, **different}.items():
            monkeypatch.setenv(name, value)

    return become


def test_a_task_of_srun_is_a_rank(task):
    task()
    assert detect() == Processes(World(3, 4), 2, 1)
    assert detect().num_nodes == 2, "asked twice, answered alike"
    environment = cluster_environment()
    assert isinstance(environment, TorchElasticEnvironment)
    assert (environment.global_rank(), environment.local_rank(), environment.node_rank()) == (3, 1, 1)
    assert (environment.main_address, environment.main_port) == ("gpu07", 20000 + (31234 + 1009) % 20000)


def test_the_address_that_the_script_chose_stays(task, monkeypatch):
    task(MASTER_ADDR="10.0.0.7", MASTER_PORT="1234")
    detect()
    environment = cluster_environment()
    assert (environment.main_address, environment.main_port) == ("10.0.0.7", 1234)


def test_torchrun_under_srun_wins(task):
    task(SLURM_STEP_NUM_TASKS="2", RANK="5", WORLD_SIZE="16", LOCAL_RANK="5", LOCAL_WORLD_SIZE="8")
    assert detect() == Processes(World(5, 16), 8, 5)


@pytest.mark.parametrize(
    "different", [{"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_STEP_NUM_TASKS": ""}], ids=["srun --pty", "batch script"]
)
def test_a_job_of_many_tasks_may_start_one_process(task, monkeypatch, different):
    task(**different)
    if not different["SLURM_STEP_NUM_TASKS"]:
        monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    assert detect() == Processes(World(0, 1), 1, 0)
    assert isinstance(cluster_environment(), LightningEnvironment)


def test_one_node_writes_its_tasks_without_a_times(task):
    task(SLURM_STEP_TASKS_PER_NODE="4", SLURM_LOCALID="3", SLURM_NODEID="0")
    assert detect() == Processes(World(3, 4), 4, 3)


def test_unequal_nodes_are_refused():
    with pytest.raises(UserError, match=r"unequal numbers of tasks \(2,1\)"):
        translate_srun({**TASK, "SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_TASKS_PER_NODE": "2,1"})


def test_two_steps_of_a_job_do_not_share_a_port():
    ports = set()
    for step in "012":
        variables = {**TASK, "SLURM_STEP_ID": step}
        translate_srun(variables)
        ports.add(variables["MASTER_PORT"])
    assert len(ports) == 3
