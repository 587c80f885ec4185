"""Checkpoint folders: read like files by whoever only looks, resumed by DeepSpeed alone."""

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.versions import commit_version, open_version
from ltrec.run.checkpoint.compatibility import refuse_partitions
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.begin import begin_run
from ltrec.training.checkpoints.atomic_io import AtomicCheckpointIO
from ltrec.training.checkpoints.io import read_checkpoint, whole_file
from tests.support.tiny_run import same, tiny_config

STATE = {"state_dict": {"a": torch.arange(4.0)}, "zero": {"stage": 2, "world_size": 4}}


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path / "r")
    run.checkpoints.mkdir(parents=True)
    for name in ("best", "last"):
        link = run.checkpoints / f"{name}.ckpt"
        version = open_version(link)
        AtomicCheckpointIO().save_checkpoint(STATE, version / "whole.ckpt")
        commit_version(link, version)
    return run


def test_a_folder_is_read_like_a_file(run):
    assert same(read_checkpoint(run.checkpoints / "last.ckpt"), STATE)
    assert same(read_checkpoint(find_checkpoint(run, "best")), STATE)
    assert whole_file(find_checkpoint(run, "best")).is_file(), "it can be hashed"


def test_damage_in_a_folder_is_named(run):
    whole_file(find_checkpoint(run, "last")).write_bytes(b"torn")
    with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
        read_checkpoint(run.checkpoints / "last.ckpt")
    whole_file(find_checkpoint(run, "last")).unlink()
    with pytest.raises(UserError, match=r"last\.ckpt not found"):
        read_checkpoint(run.checkpoints / "last.ckpt")


def test_a_fresh_run_removes_folders(run, tmp_path):
    begin_run(run, tiny_config(tmp_path, tmp_path), {"run_id": "x"}, fresh=True)
    assert list(run.checkpoints.iterdir()) == []


@pytest.mark.parametrize("strategy", ["joint", "stratified", "stratified_ddp", "stratified_fsdp2"])
def test_partitions_are_for_deepspeed_only(run, strategy):
    refuse_partitions(run.checkpoints / "last.ckpt", STATE, "stratified_deepspeed_stage_2")
    refuse_partitions(run.checkpoints / "last.ckpt", {"state_dict": {}}, strategy)
    words = r"in 4 processes by strategy stratified_deepspeed_stage_2 and " + strategy
    with pytest.raises(UserError, match=words):
        refuse_partitions(run.checkpoints / "last.ckpt", STATE, strategy)
