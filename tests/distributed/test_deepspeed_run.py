"""Whole runs under DeepSpeed in two gloo processes: like one device, through a kill, refused in other worlds, and evaluated."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback

import ltrec.run.build.strategies as strategies
import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.strategy.deepspeed import partition_files
from tests.support.commands import ltrec
from tests.support.extra_callbacks import extra
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, lines_of, same, tiny_words

STAGES = (1, 2, 3)
EXACT = ["model.dropout=0", "trainer.log_every_steps=1", "optim.eps=1e-3", "optim.weight_decay=0.1", "trainer.max_steps=5"]
IN_BATCH = ["objective.name=in_batch"]
LIKE_ALONE = {
    "linear": [*EXACT, "optim.clip_norm=0.05", "trainer.accumulate=2"],
    "gram": [*EXACT, "gradients.rule.name=upgrad", "optim.clip_norm=0.05", "trainer.accumulate=2"],
    "in_batch": [*EXACT, *IN_BATCH, "gradients.rule.name=upgrad"],
    "few chunks": [*EXACT, "evaluation.chunk_rows=1000"],
    "average": [*EXACT, "trainer.ema=0.6", "optim.lr=0.02", "trainer.accumulate=2"],
}
STATEFUL = {
    "dro": ["gradients.rule.name=group_dro", "optim.clip_norm=0.1", "trainer.accumulate=2", "trainer.ema=0.8"],
    "pcgrad": ["gradients.rule.name=pcgrad"],
}


def name_of(stage):
    return ["gradients.name=stratified", f"strategy.name=deepspeed_stage_{stage}"]


class Kill(BaseException):
    """Ends the work at once."""


class KillAt(Callback):
    """Dies on every rank, before the run's own callbacks act."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 6:
            raise Kill


def train(data, out, *words):
    common = [w for w in tiny_words(data, out) if "objective.name=in_batch" not in words or not w.startswith("objective.")]
    training.train(load([], [*common, *words]))


def train_killed(data, out, *words):
    with extra(KillAt(), first=True), suppress(Kill):
        train(data, out, *words)


def really_shard():
    """Without a threshold of 0 ZeRO-3 would keep parameters as small as these whole."""
    make = strategies.make_strategy
    strategies.make_strategy = lambda name, **options: make(
        name, **({"zero": {"stage3_param_persistence_threshold": 0}} if name == "stratified_deepspeed_stage_3" else {}), **options
    )


def refusal(data, out, *words):
    """The one line that training ends with."""
    try:
        train(data, out, *words)
    except (UserError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def train_on_a_full_disk(rank, data, out, *words):
    """Rank 1 cannot write its third checkpoint."""
    save, done = partition_files.torch.save, [0]

    def bounded(*args, **kwargs):
        done[0] += 1
        if rank == 1 and done[0] == 3:
            raise OSError(28, "No space left on device")
        save(*args, **kwargs)

    partition_files.torch.save = bounded
    try:
        return refusal(data, out, *words)
    finally:
        partition_files.torch.save = save


def spoil(file):
    """Flip one bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def spoil_shard(rank, out, name, how=spoil):
    """Damage what rank 1 has written."""
    if rank == 0:
        how(out / f"r/checkpoints/{name}.ckpt/state/zero_pp_rank_1_mp_rank_00_optim_states.pt")
    dist.barrier()


def copied(rank, source, target):
    """A run that may be spoiled."""
    if rank == 0:
        shutil.copytree(source, target, symlinks=True)
    dist.barrier()
    return target


def train_slow(rank, data, out, alone):
    act_as_rank(rank, 2)
    really_shard()
    said = {}
    for stage in STAGES:
        here, zero = out / str(stage), name_of(stage)
        for name, words in LIKE_ALONE.items():
            train(data, here / name, *zero, *words)
        for name, words in STATEFUL.items():
            train(data, here / f"{name} undisturbed", *zero, *words)
            train_killed(data, here / f"{name} killed", *zero, *words)
            train(data, here / f"{name} killed", *zero, *words)
        said["full disk", stage] = train_on_a_full_disk(rank, data, here / "full disk", *zero)
        last = here / "dro killed/r/checkpoints/last.ckpt"
        said["other stage", stage] = refusal(data, here / "other", *name_of(stage % 3 + 1), *STATEFUL["dro"], f"resume={last}")
    said["file"] = refusal(data, out / "file", *name_of(2), f"resume={alone}/linear/r/checkpoints/last.ckpt")
    spoilt = copied(rank, out / "2/dro killed", out / "spoilt")
    spoil_shard(rank, spoilt, "last")
    spoil_shard(rank, spoilt, "previous")
    said["damage"] = refusal(data, spoilt, *name_of(2), *STATEFUL["dro"])
    return said


def train_fast(rank, data, out):
    act_as_rank(rank, 2)
    train(data, out / "small", *name_of(3), *LIKE_ALONE["average"])  # parameters as small as these are kept whole
    really_shard()
    words = [*name_of(3), *STATEFUL["dro"]]
    train(data, out / "undisturbed", *words)
    for name in ("killed", "spoilt"):
        train_killed(data, out / name, *words)
    spoil_shard(rank, out / "spoilt", "last", Path.unlink)
    for name in ("killed", "spoilt"):
        train(data, out / name, *words)


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    for name, words in LIKE_ALONE.items():
        train(data, out / name, "gradients.name=stratified", *[w for w in words if not w.startswith("trainer.accumulate")])
    return out


@pytest.fixture(scope="module")
def slow(data, alone, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return out, spawn(train_slow, 2, out / "store", data, out, alone, timeout=280)


@pytest.fixture(scope="module")
def runs(slow):
    return slow[0]


@pytest.fixture(scope="module")
def said(slow):
    return slow[1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", LIKE_ALONE)
def test_two_processes_train_like_one(runs, alone, name, stage):
    mine, one = runs / str(stage) / name / "r", alone / name / "r"
    assert column(mine, "train/loss") == pytest.approx(column(one, "train/loss"), rel=1e-5)
    assert column(mine, "val/ndcg@10") == pytest.approx(column(one, "val/ndcg@10"), abs=1e-5)
    found, expected = checkpoint(mine), checkpoint(one)
    assert found["global_step"] == 5
    for key, weight in expected["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][key], weight, rtol=1e-5, atol=1e-6, msg=key)
    if "average" in expected:
        refuse_other_average(found, expected)


def refuse_other_average(found, expected):
    """Of two checkpoints."""
    mine, good = found["average"], expected["average"]
    assert mine["updates"] == good["updates"] == 5 and mine["state_dict"].keys() == good["state_dict"].keys()
    for key, weight in good["state_dict"].items():
        torch.testing.assert_close(mine["state_dict"][key], weight, rtol=1e-5, atol=1e-6, msg=key)
    assert not same(mine["state_dict"], found["state_dict"])


def refuse_other_end(killed, undisturbed, stage):
    mine, good = checkpoint(killed), checkpoint(undisturbed)
    for key in ("global_step", "state_dict", "average", "lr_schedulers", "StreamDataModule", "callbacks", "zero"):
        assert same(mine.get(key), good.get(key)), key
    assert mine["zero"] == {"stage": stage, "world_size": 2} and "optimizer_states" not in mine
    assert lines_of(killed) == lines_of(undisturbed)
    folders = [run / "checkpoints" / "last.ckpt" / "state" for run in (killed, undisturbed)]
    files = sorted(path.name for path in folders[0].iterdir())
    assert len(files) == (4 if stage == 3 else 3)
    for file in files:
        one, other = (partition_files.PartitionFiles().load(str(folder / file)) for folder in folders)
        for state in (one, other):
            state.get("optimizer_state_dict", {}).pop("loss_scaler", None)  # an object of no interest, equal to itself only
        assert same(one, other), file
    names = sorted(path.name for path in (killed / "checkpoints").iterdir())
    links, slots = ([name for name in names if (name[-2] == ".") is slot] for slot in (False, True))
    assert links in (["best.ckpt", "last.ckpt", "previous.ckpt"], ["aside.ckpt", "best.ckpt", "last.ckpt", "previous.ckpt"])
    assert len(slots) == len(links), "nothing torn is left"


def test_killed_and_resumed_equals_undisturbed(data, tmp_path):
    train(data, tmp_path / "alone", "gradients.name=stratified", *LIKE_ALONE["average"])
    spawn(train_fast, 2, tmp_path / "store", data, tmp_path, timeout=240)
    refuse_other_end(tmp_path / "killed/r", tmp_path / "undisturbed/r", 3)
    refuse_other_end(tmp_path / "spoilt/r", tmp_path / "undisturbed/r", 3)
    assert os.readlink(tmp_path / "spoilt/r/checkpoints/aside.ckpt").startswith("last.ckpt."), "it went on from the one before"
    refuse_other_average(checkpoint(tmp_path / "small/r"), checkpoint(tmp_path / "alone/r"))
    assert column(tmp_path / "small/r", "val/ndcg@10") == pytest.approx(column(tmp_path / "alone/r", "val/ndcg@10"), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", STATEFUL)
def test_killed_and_resumed_equals_undisturbed_at_every_stage(runs, name, stage):
    refuse_other_end(*(runs / str(stage) / f"{name} {end}" / "r" for end in ("killed", "undisturbed")), stage)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_on_one_rank_ends_all_and_leaves_the_checkpoint_before(runs, said, stage):
    zero, one = (rank["full disk", stage] for rank in said)
    last = runs / str(stage) / "full disk/r/checkpoints/last.ckpt"
    assert one == f"OSError: [Errno 28] No space left on device: '{last}'"
    assert zero == f"UserError: {last} could not be written by another process; the checkpoint before it is still there"
    assert checkpoint(last.parent.parent)["global_step"] in (1, 2)
    links = sorted(path.name for path in last.parent.iterdir() if path.is_symlink())
    assert links in (["last.ckpt"], ["last.ckpt", "previous.ckpt"])
    assert len(list(last.parent.iterdir())) == 2 * len(links), "nothing torn is left"


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_partitions_of_another_stage_are_refused(said, stage):
    words = f"holds partitions of ZeRO-{stage} for 2 processes, this run needs partitions of ZeRO-{stage % 3 + 1} for 2 processes"
    assert all(words in rank["other stage", stage] for rank in said)


@pytest.mark.slow
def test_a_checkpoint_without_partitions_is_refused(said):
    assert all(
        "last.ckpt holds no ZeRO partitions, this run needs partitions of ZeRO-2 for 2 processes" in rank["file"] for rank in said
    )


@pytest.mark.slow
def test_a_flipped_bit_in_a_partition_of_both_checkpoints_is_found_by_all(said):
    one, other = (rank["damage"] for rank in said)
    assert one == other and one.startswith("UserError: ") and "last.ckpt is damaged (" in one
    assert one.count("zero_pp_rank_1_mp_rank_00_optim_states.pt is damaged") == 2 and "previous.ckpt is damaged (" in one


@pytest.mark.slow
def test_another_number_of_processes_and_another_strategy_are_refused_but_may_look(data, runs, tmp_path):
    run = runs / "1/dro undisturbed/r"
    resume = [*tiny_words(data, tmp_path), *STATEFUL["dro"], f"resume={run}/checkpoints/last.ckpt"]
    with pytest.raises(UserError, match=r"in 2 processes by strategy stratified_deepspeed_stage_1 and stratified cannot"):
        training.train(load([], [*resume, "gradients.name=stratified"]))
    done = ltrec("train", *resume, *name_of(1), check=False)
    assert done.returncode == 2
    assert "holds partitions of ZeRO-1 for 2 processes, this run needs partitions of ZeRO-1 for 1 processes" in done.stderr
    ltrec("evaluate", run)
    assert (run / "eval" / "test.parquet").exists()
