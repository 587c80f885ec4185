"""Whole states and shards of them turn into each other without a trace, on any number of ranks."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.fsdp2.full_state import shard_model_state, shard_optimizer_state, whole
from ltrec.distributed.fsdp2.sharded_module import ShardedModule, local
from ltrec.optim.build import adamw
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.tiny_run import same
from tests.support.toy_stage import ToyStage

pytestmark = threaded_or_skip


def optimizer_of(stage):
    return adamw(stage, lr=0.1, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-8)


def trained(seed):
    """A stage and its optimiser on one device, after two steps on made-up gradients."""
    stage = ToyStage(3, plugins=True, seed=seed)
    optimizer = optimizer_of(stage)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(2):
        for parameter in stage.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype)
        optimizer.step()
    return stage, optimizer


def there_and_back(rank, world, model_state, optimizer_state):
    stage = ToyStage(3, plugins=True, seed=9)
    sharded = ShardedModule(stage, init_device_mesh("cpu", (world,)), Collectives(), [])
    optimizer = optimizer_of(stage)
    stage.load_state_dict(shard_model_state(model_state, stage.state_dict()))
    optimizer.load_state_dict(shard_optimizer_state(optimizer_state, optimizer))
    held = sum(local(p.detach()).numel() for _, p in sharded.parameters)
    moments = sum(local(s["exp_avg"]).numel() for s in optimizer.state.values())
    keep = rank == world - 1
    return whole(stage.state_dict(), keep), whole(optimizer.state_dict(), keep), held, moments


@pytest.mark.parametrize("world", [2, 3, 4])
def test_one_device_s_state_survives_any_number_of_ranks(world):
    stage, optimizer = trained(seed=1)
    states = stage.state_dict(), optimizer.state_dict()
    *others, last = on_ranks(world, there_and_back, world, *states)
    assert same(last[0], dict(states[0])) and same(last[1], states[1])
    for model_state, optimizer_state, _, _ in others:
        assert set(model_state.values()) == {None}
        assert {s["exp_avg"] for s in optimizer_state["state"].values()} == {None}
    everyone = [*others, last]
    assert sum(held for _, _, held, _ in everyone) == sum(p.numel() for p in stage.parameters())
    assert sum(held for *_, held in everyone) == sum(p.numel() for p in stage.parameters() if p.requires_grad)


def lacks_a_name(rank, state):
    stage = ToyStage(3, plugins=True)
    ShardedModule(stage, init_device_mesh("cpu", (2,)), Collectives(), [])
    try:
        stage.load_state_dict(shard_model_state(state, stage.state_dict()))
    except RuntimeError as error:
        return str(error)


def test_other_names_are_the_module_s_to_complain_about():
    state = trained(seed=1)[0].state_dict()
    state["strange"] = state.pop("mix")
    for message in on_ranks(2, lacks_a_name, state):
        assert 'Missing key(s) in state_dict: "mix"' in message and '"strange"' in message
