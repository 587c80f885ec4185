"""Joint training with weights is sum_i m_i l_i / sum_i m_i over the step: for one and two processes, in one piece or in three."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from ltrec.config.load import load
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.training import build_module
from tests.support.columned import SCHEMA, TARGETS, with_columns
from tests.support.shards import random_users, write_dataset
from tests.support.spawn import spawn

WORDS = [
    "stream.batch_rows=24",
    "stream.lanes=24",
    "stream.max_len=6",
    "model.width=8",
    "model.heads=1",
    "model.dropout=0",
    "objective.name=softmax",
]


def opened(folder, unit):
    config = load([], [f"data.path={folder}", f"stream.unit={unit}", *WORDS])
    data = open_data(config)
    plan = build_plan(config, data)
    torch.manual_seed(0)
    return data, plan, build_module(config, data, plan).double()


def flat(module, loss):
    parameters = [p for p in module.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(parameters, found, strict=True)])


def update(rank, size, folder, unit, accumulate):
    """The gradient of the first step as Lightning and DDP would leave it: micro-batches and ranks are averaged."""
    data, plan, module = opened(folder, unit)
    module._trainer = SimpleNamespace(world_size=size, accumulate_grad_batches=accumulate)
    module.seed_dropout = lambda *_: None
    loader = iter(StreamLoader(data.folder, data.manifest, plan, world=World(rank, size), accumulate=accumulate))
    total = sum(flat(module, module.training_step(next(loader), 0)) for _ in range(accumulate)) / accumulate
    if size > 1:
        dist.all_reduce(total)
    return (total / size).numpy()


def on_rank(rank, size, folder):
    return {(unit, pieces): update(rank, size, folder, unit, pieces) for unit in ("target", "user") for pieces in (1, 3)}


@pytest.fixture(scope="module", params=["weights and targets", "targets"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weighted")
    schema = SCHEMA if request.param == "weights and targets" else type(SCHEMA)(SCHEMA.columns)
    users = with_columns(random_users([40, 30, 26], num_items=30))
    write_dataset(folder, users, num_items=30, schema=schema, split={"targets": TARGETS})
    return folder


def closed_form(folder, unit):
    """By loops over the rows of the step: nothing of the loader's sums, the module's examples or its reduction."""
    data, plan, module = opened(folder, unit)
    batch = next(iter(StreamLoader(data.folder, data.manifest, plan, world=World())))
    table, states = module.backbone.item_table[1:], module.backbone.encode(batch)
    total, size = torch.zeros((), dtype=torch.float64), 0.0
    for low, high in zip(batch.offsets.tolist(), batch.offsets.tolist()[1:], strict=False):
        own, weights = [], []
        for n in range(low, high):
            if target := int(batch.targets_T[n]):
                weights.append(1.0 if batch.weight_T is None else batch.weight_T[n].item())
                own.append(weights[-1] * (torch.logsumexp(table @ states[n], 0) - table[target - 1] @ states[n]))
        if own and unit == "user":
            total, size = total + sum(own) / sum(weights), size + 1
        elif own:
            total, size = total + sum(own), size + sum(weights)
    return flat(module, total / size)


@pytest.fixture(scope="module", params=[1, 2])
def ranks(request, folder, tmp_path_factory):
    return spawn(on_rank, request.param, tmp_path_factory.mktemp("joint") / "store", request.param, folder)


@pytest.mark.parametrize("unit", ["target", "user"])
def test_the_update_is_the_closed_form(ranks, folder, unit):
    expected = closed_form(folder, unit)
    assert expected.abs().max() > 1e-4
    for rank in ranks:
        for pieces in (1, 3):
            torch.testing.assert_close(torch.from_numpy(rank[unit, pieces]), expected, rtol=1e-6, atol=1e-9)
