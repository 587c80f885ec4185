"""Torchrun's numbers, srun's numbers, and none."""

import pytest
from pytorch_lightning.plugins.environments import LightningEnvironment, TorchElasticEnvironment

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.run.process.detect import detect, translate_srun
from ltrec.run.process.lightning_environment import cluster_environment
from ltrec.run.process.rendezvous_env import Processes, read

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

    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [])  # the machines of these tests are nowhere

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
    task(
        SLURM_STEP_NUM_TASKS="2", RANK="5", WORLD_SIZE="16", LOCAL_RANK="5", LOCAL_WORLD_SIZE="8", MASTER_ADDR="a", MASTER_PORT="1"
    )
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


GOOD = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


def test_missing_variables_are_set_for_torch():
    variables = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}  # as Kubernetes has it
    assert read(variables) == Processes(World(1, 2), 1, 0)
    assert (variables["LOCAL_RANK"], variables["LOCAL_WORLD_SIZE"]) == ("0", "1")
    assert read(alone := {}) == Processes(World(0, 1), 1, 0) and alone == {}
    assert read(dict(GOOD)) == Processes(World(1, 4), 2, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"RANK": "x"}, "variable RANK is 'x', which is not a whole number"),
        ({"RANK": ""}, "variable RANK is '', which is not a whole number"),
        ({"RANK": "-1"}, "RANK is '-1'"),
        ({"WORLD_SIZE": "2.0"}, "WORLD_SIZE is '2.0'"),
        ({"WORLD_SIZE": "9" * 5000}, "WORLD_SIZE is '999"),
        ({"RANK": None}, "WORLD_SIZE=4 without RANK: which of the 4 processes is this?"),
        ({"RANK": "4"}, "RANK=4 with WORLD_SIZE=4: there is no such process"),
        ({"WORLD_SIZE": None}, "RANK=1 with WORLD_SIZE=1: there is no such process"),
        ({"WORLD_SIZE": "0"}, "RANK=1 with WORLD_SIZE=0"),
        ({"LOCAL_RANK": "2"}, "every machine must run the same number of processes"),
        ({"LOCAL_WORLD_SIZE": "3"}, "every machine must run the same number of processes"),
        ({"LOCAL_WORLD_SIZE": "0"}, "every machine must run the same number of processes"),
        ({"GROUP_RANK": "first"}, "GROUP_RANK is 'first'"),
        ({"MASTER_ADDR": None}, "variable MASTER_ADDR is not set"),
        ({"MASTER_PORT": None}, "variable MASTER_PORT is not set"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
        ({"MASTER_PORT": "0"}, "MASTER_PORT=0 is not a port"),
        ({"MASTER_PORT": "65536"}, "MASTER_PORT=65536 is not a port"),
        ({"MASTER_ADDR": "no such host!"}, "MASTER_ADDR=no such host!: no such machine"),
        ({"MASTER_ADDR": "a" * 300}, "no such machine"),
        ({"MASTER_ADDR": "a..b"}, "no such machine"),
    ],
    ids=str,
)
def test_wrong_variables_are_refused_in_one_line(wrong, said, monkeypatch):
    monkeypatch.setattr("ltrec.run.process.rendezvous_env.RESOLVE_TIMEOUT_S", 0)
    variables = {name: value for name, value in {**GOOD, **wrong}.items() if value is not None}
    with pytest.raises(UserError) as caught:
        read(variables)
    assert said in str(caught.value)


def test_a_machine_that_starts_is_waited_for(monkeypatch):
    answers = [OSError(-2, "Name or service not known")] * 2 + [None]

    def resolve(*_):
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    assert read(dict(GOOD)).world.rank == 1 and answers == []


@pytest.mark.parametrize("name", ["SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_NODELIST"])
def test_a_task_of_srun_without_its_variables_is_refused_in_one_line(name):
    with pytest.raises(UserError, match=f"variable {name} is not set"):
        translate_srun({key: value for key, value in TASK.items() if key != name})
