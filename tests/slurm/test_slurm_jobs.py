"""Real Slurm jobs: runs survive time limits, cancellation, lost nodes and crashes."""

import os
import signal

import pytest

from tests.support.commands import KEY, ltrec
from tests.support.slurm_run import LAST_STEP, WORDS, launch
from tests.support.tiny_run import checkpoint, refuse_differences, tiny_words

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def undisturbed(cluster, data, tmp_path_factory):
    """The same run in two processes of this machine, without Slurm and without a break."""
    out = tmp_path_factory.mktemp("undisturbed")
    ltrec("train", *tiny_words(data, out, *WORDS), processes=2)
    return out / "r"


def wandb_ids(run):
    """Ids of the offline runs that W&B wrote; one for each start, all the same."""
    return {folder.name.rpartition("-")[2] for folder in (run / "wandb").glob("offline-run-*")}


def test_two_nodes_stop_requeue_and_end_like_an_undisturbed_run(cluster, data, undisturbed, tmp_path, figure):
    run = launch(cluster, data, tmp_path, "--nodes", "2")
    run.until_lines(40)
    cluster.call("scancel", "--batch", "--signal=USR1", run.job)
    saved = run.until_it_said("stopped at step")
    run.until_it_said("back into the queue")
    step, lines = run.stopped_at(), run.lines()
    assert checkpoint(run.folder)["global_step"] == step
    cluster.start_again(run.job)
    first = run.until_lines(lines + 1)
    assert run.until_state("COMPLETED", "FAILED", "CANCELLED") == "COMPLETED"
    figure(f"signal -> checkpoint and end of training {saved:.1f} s; queue -> first step {first:.1f} s")
    figure(f"lost steps {step - run.resumed_at()}; W&B run ids {len(wandb_ids(run.folder))}")
    assert run.resumed_at() == step and len(wandb_ids(run.folder)) == 1
    assert not (run.folder / "STOP").exists() and not (run.folder / "REQUEUE").exists()
    refuse_differences(run.folder, undisturbed)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"train.sbatch", "train.log", "config.yaml", "provenance.json"} <= {path.name for path in written}
    assert [str(path) for path in written if KEY.encode() in path.read_bytes()] == []


def test_srun_python_receives_the_signal_itself(cluster, data, undisturbed, tmp_path):
    run = launch(cluster, data, tmp_path, "--nodes", "2", "--python")
    run.until_lines(40)
    cluster.call("scancel", "--signal=USR1", run.job)  # to the tasks, not to the script
    run.until_it_said("back into the queue")
    cluster.start_again(run.job)
    assert run.until_state("COMPLETED", "FAILED", "CANCELLED") == "COMPLETED"
    refuse_differences(run.folder, undisturbed)


def test_scancel_saves_and_does_not_requeue(cluster, data, undisturbed, tmp_path):
    run = launch(cluster, data, tmp_path, "--nodes", "2")
    run.until_lines(40)
    cluster.call("scancel", run.job)
    run.until_state("CANCELLED")
    cluster.until(lambda: not cluster.tasks(SLURM_JOB_ID=run.job), "no process is left")
    step = checkpoint(run.folder)["global_step"]
    assert 0 < step < LAST_STEP and "back into the queue" not in run.log()
    again = launch(cluster, data, tmp_path, "--nodes", "2")
    assert again.until_state("COMPLETED", "FAILED") == "COMPLETED"
    assert again.resumed_at() == step
    refuse_differences(run.folder, undisturbed)


def test_a_node_fails(cluster, data, undisturbed, tmp_path, figure):
    run = launch(cluster, data, tmp_path, "--nodes", "2")
    run.until_lines(40)
    lines = run.lines()
    cluster.call("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test")
    for pid in cluster.tasks(SLURM_JOB_ID=run.job, SLURMD_NODENAME="n2"):
        os.kill(pid, signal.SIGKILL)
    cluster.until(lambda: cluster.state(run.job) == "PENDING", "Slurm requeues it")
    cluster.revive("n2")
    cluster.start_again(run.job)
    assert run.until_state("COMPLETED", "FAILED", "CANCELLED") == "COMPLETED"
    figure(f"node failure at line {lines} of metrics: resumed at step {run.resumed_at()}")
    refuse_differences(run.folder, undisturbed)


def worker(cluster, job, rank, variable="RANK"):
    """The process of one rank."""
    [pid, *_] = sorted(cluster.tasks(SLURM_JOB_ID=job, **{variable: rank}))
    return pid


@pytest.mark.parametrize(("form", "variable"), [((), "RANK"), (("--python",), "SLURM_PROCID")], ids=["torchrun", "python"])
def test_a_dying_rank_ends_the_job(cluster, data, tmp_path, figure, form, variable):
    run = launch(cluster, data, tmp_path, "--nodes", "2", *form)
    run.until_lines(40)
    os.kill(worker(cluster, run.job, "1", variable), signal.SIGKILL)
    seconds = cluster.until(lambda: cluster.state(run.job) == "FAILED", "the job ends")
    figure(f"a rank killed -> the whole job ended {seconds:.1f} s ({' '.join(form) or 'torchrun'})")
    assert 0 < checkpoint(run.folder)["global_step"] < LAST_STEP
    assert not cluster.tasks(SLURM_JOB_ID=run.job, **{variable: "0"})


def test_torchrun_restarts_all_ranks_when_one_dies(cluster, data, undisturbed, tmp_path):
    run = launch(cluster, data, tmp_path, "--nodes", "2", "--max-restarts", "1")
    run.until_lines(40)
    os.kill(worker(cluster, run.job, "1"), signal.SIGKILL)
    assert run.until_state("COMPLETED", "FAILED") == "COMPLETED"
    assert "resuming at step" in run.log()
    refuse_differences(run.folder, undisturbed)


def test_the_time_limit(cluster, data, tmp_path, figure):
    run = launch(cluster, data, tmp_path, "--nodes", "2", "--time", "2", "--notice", "60", "trainer.max_epochs=4000")
    run.until_it_said("time is nearly over")  # said by Slurm itself
    seconds = run.until_it_said("back into the queue")
    cluster.start_again(run.job)
    run.until_it_said("resuming at step")
    assert run.resumed_at() == run.stopped_at()
    figure(f"time limit: warning -> back in the queue {seconds:.1f} s at step {run.stopped_at()}")
    cluster.call("scancel", run.job)
    run.until_state("CANCELLED")


def test_an_array_of_three_seeds(cluster, data, tmp_path):
    launch(cluster, data, tmp_path, "--array-seeds", "0-2", "trainer.max_epochs=2", "plugin.switch.at=4")
    folders = [tmp_path / f"r-seed{seed}" for seed in range(3)]
    cluster.until(lambda: not cluster.call("squeue", "-h").strip(), "all tasks ended")
    weights = [checkpoint(folder)["state_dict"] for folder in folders]
    assert [checkpoint(folder)["global_step"] for folder in folders] == [8, 8, 8]
    assert len({next(iter(w.values())).sum().item() for w in weights}) == 3
    assert all(f"seed: {seed}\n" in (folder / "config.yaml").read_text() for seed, folder in enumerate(folders))


def test_a_job_waits_for_another_and_records_a_trace(cluster, data, tmp_path):
    first = launch(cluster, data, tmp_path, "trainer.max_epochs=2", "plugin.switch.at=4", name="first")
    second = launch(
        cluster, data, tmp_path, "trainer.max_epochs=2", "plugin.switch.at=4", "--after", first.job, "--profile", "2", name="second"
    )
    assert second.until_state("COMPLETED", "FAILED") == "COMPLETED"
    assert (second.folder / "profile" / "trace.json.gz").exists() and not (first.folder / "profile").exists()
    assert (first.folder / "checkpoints/last.ckpt").stat().st_mtime < (second.folder / "provenance.json").stat().st_mtime
