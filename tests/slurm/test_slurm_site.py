"""Site options in real jobs: setup lines, variables, options of sbatch, a copy of the data on the node."""

import pytest

from tests.support.slurm_run import launch
from tests.support.tiny_run import checkpoint

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

SHORT = ("trainer.max_epochs=10", "plugin.switch.at=24")


@pytest.fixture
def disk(tmp_path):
    """A disk of the node; both nodes are this machine."""
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


@pytest.mark.parametrize("form", [(), ("--python",)], ids=["torchrun", "python"])
def test_lines_variables_options_and_a_copy_on_every_node(cluster, data, tmp_path, disk, form):
    words = ["--setup", f"cd /; export FROM_SETUP=yes; env >{tmp_path}/seen", "--env", "GREETING=good day, $HOME", *form]
    words += ["--env", f"NODE_DISK={disk}", "--stage", "$NODE_DISK", "--nodes", "2"]
    words += ["--sbatch", "export=ALL,FROM_SBATCH=a", "--sbatch", "comment=two 'words' \"and\" \\ # more"]
    run = launch(cluster, data, tmp_path, *words, *SHORT)
    run.until_lines(10)
    everywhere = {"GREETING": "good day, $HOME", "FROM_SETUP": "yes", "FROM_SBATCH": "a", "LTREC_STAGE": "$NODE_DISK"}
    assert len(cluster.tasks(SLURM_JOB_ID=run.job, SLURMD_NODENAME="n2", **everywhere)) > 0
    assert "Comment=two 'words' \"and\" \\ # more" in cluster.call("scontrol", "show", "job", run.job)
    assert sorted(path.name for path in disk.iterdir()) == [f"ltrec-{run.job}-{node}" for node in ("n1", "n2")]
    assert run.until_state("COMPLETED", "FAILED", "CANCELLED") == "COMPLETED"
    assert checkpoint(run.folder)["global_step"] == 40 and list(disk.iterdir()) == []
    assert run.log().count(f"{data} -> {disk}") == 2 and "FROM_SBATCH=a" in (tmp_path / "seen").read_text()


def test_the_copy_is_removed_with_a_cancelled_job(cluster, data, tmp_path, disk):
    run = launch(cluster, data, tmp_path, "--nodes", "2", "--stage", str(disk))
    run.until_lines(10)
    assert len(list(disk.iterdir())) == 2
    cluster.call("scancel", run.job)
    run.until_state("CANCELLED")
    cluster.until(lambda: not cluster.tasks(SLURM_JOB_ID=run.job), "no process is left")
    assert list(disk.iterdir()) == [] and checkpoint(run.folder)["global_step"] > 0


def test_a_job_without_its_disk_or_with_a_line_that_fails_says_so(cluster, data, tmp_path):
    first = launch(cluster, data, tmp_path, "--stage", "$NO_SUCH_DISK", *SHORT, name="a")
    second = launch(cluster, data, tmp_path, "--setup", "ls /no/such/folder", *SHORT, name="b")
    assert first.until_state("FAILED", "COMPLETED") == second.until_state("FAILED", "COMPLETED") == "FAILED"
    assert "--stage $NO_SUCH_DISK: on" in first.log() and "it is not set" in first.log()
    assert "setup ended with 2: ls /no/such/folder" in second.log()
    assert not (first.folder / "metrics.jsonl").exists() and not (second.folder / "metrics.jsonl").exists()
