"""Which rows meet in which trajectory: the same for every number of processes, and refused when the numbers do not fit."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.distributed.alignment.tasks import stratum_tasks, user_tasks
from ltrec.distributed.alignment.trajectories import num_trajectories
from tests.support.naive_alignment import stratum_chains, user_chains
from tests.support.windows import Row, Window


def rows_of(trajectories):
    """Trajectory -> task -> items of every row."""
    return [[[tuple(row.tolist()) for row in task.items_T.tensor_split(task.offsets[1:-1])] for task in t] for t in trajectories]


def inputs_of(chains):
    return [[[row.items[:-1] for row in task] for task in chain] for chain in chains]


def window_of(world, rows, *, strata=3, micros=1, seed=0):
    """Rows of random lengths and strata; in every micro-batch of every rank equally many."""
    draw = torch.Generator().manual_seed(seed)
    made = []
    for rank in range(world):
        for micro in range(micros):
            for _ in range(rows // world // micros):
                length, stratum = (int(torch.randint(low, high, (), generator=draw)) for low, high in ((2, 6), (-1, strata)))
                made.append(Row(rank, micro, stratum, tuple(torch.randint(1, 10**6, (length,), generator=draw).tolist())))
    return Window(world, strata, micros, tuple(made))


def sorted_by_length(batch):
    """As the loader delivers it: longest first, saying where each row was drawn."""
    order = (-batch.lengths_B).argsort(stable=True)
    return replace(batch.select(order), slot_B=7 + 2 * order)


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("micros", [1, 2])
@pytest.mark.parametrize(("total", "steps"), [(8, 1), (8, 3), (24, 1), (8, 2)])
def test_users_are_dealt_out_alike_for_every_world(world, micros, total, steps):
    window, whole = window_of(world, 48, micros=micros), window_of(world, 48, micros=micros)
    found = [
        trajectory
        for micro in range(micros)
        for rank in range(world)
        for trajectory in user_tasks(sorted_by_length(window.batches(rank)[micro]), total // world // micros, steps)
    ]
    expected = inputs_of(user_chains(whole, total, steps))
    assert [[sorted(t) for t in chain] for chain in rows_of(found)] == [[sorted(t) for t in chain] for chain in expected]
    assert all(task.lengths_B.tolist() == sorted(task.lengths_B.tolist(), reverse=True) for chain in found for task in chain)


@given(seed=st.integers(0, 99), total=st.sampled_from([1, 2, 4, 8]), strata=st.sampled_from([1, 3, 5]))
@settings(max_examples=25)
def test_strata_are_visited_in_an_order_of_their_own(seed, total, strata):
    window = replace(window_of(1, 16, strata=strata, seed=seed), step=5)

    [batch] = window.batches(0)
    found = stratum_tasks(batch, total, lambda number: mix(11, 5, number))
    assert rows_of(found) == inputs_of(stratum_chains(window, total, 11))


def test_orders_of_strata_differ_between_trajectories():
    [batch] = Window(1, 5, 1, tuple(Row(0, 0, n % 5, (1 + n % 5, 9)) for n in range(100))).batches(0)
    orders = {tuple(chain[0][0] for chain in tasks) for tasks in rows_of(stratum_tasks(batch, 20, lambda number: number))}
    assert len(orders) > 10


ALIGNMENTS = {
    "users": (AlignmentConfig(inner_steps=2), {"batch_rows": 96}, 48),
    "triples": (AlignmentConfig(inner_steps=3), {"batch_rows": 96}, 32),
    "several users a task": (AlignmentConfig(inner_steps=2, trajectories=8), {"batch_rows": 96}, 8),
    "fish": (AlignmentConfig(tasks="stratum"), {"batch_rows": 96}, 1),
    "fishes": (AlignmentConfig(tasks="stratum", trajectories=6), {"batch_rows": 96, "processes": 3, "micro_batches": 2}, 6),
}


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_number_of_trajectories(name):
    alignment, numbers, expected = ALIGNMENTS[name]
    assert num_trajectories(alignment, **{"processes": 1, **numbers}) == expected


REFUSED = {
    "odd": ({}, {"batch_rows": 95}, "`trajectories`=0 (47) x `inner_steps`=2", "`batch_rows`=94 or 96"),
    "lanes": ({}, {"batch_rows": 90, "processes": 4, "lanes": 10}, "over 4 processes", "`batch_rows`=80 or 120"),
    "processes": (
        {"trajectories": 8},
        {"batch_rows": 96, "processes": 3},
        "over 3 processes",
        "`trajectories`=3 or 6 or 12",
    ),
    "rows": (
        {"trajectories": 10},
        {"batch_rows": 96},
        "=10 x",
        "`trajectories`=6 or 8 or 12, or `batch_rows`=80 or 100",
    ),
    "accumulate": ({}, {"batch_rows": 96, "micro_batches": 32}, "`accumulate`=32", "`batch_rows`=64 or 128"),
    "chain": ({"tasks": "stratum"}, {"batch_rows": 96, "processes": 2}, "of strata over 2", "`trajectories`=2 or 4 or 6"),
    "hopeless": (
        {"trajectories": 7, "inner_steps": 5},
        {"batch_rows": 96, "processes": 2},
        "x `inner_steps`=5",
        "`trajectories`=2 with `batch_rows`=90 or 100",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_numbers_that_do(name):
    options, numbers, told, way_out = REFUSED[name]
    with pytest.raises(UserError) as refusal:
        num_trajectories(AlignmentConfig(**options), **{"processes": 1, **numbers})
    message = str(refusal.value)
    assert told in message and message.endswith(f"use {way_out}") and "\n" not in message
    assert f"`batch_rows`={numbers['batch_rows']}" in message


@given(
    rows=st.integers(1, 200),
    steps=st.integers(1, 4),
    wanted=st.integers(0, 20),
    processes=st.integers(1, 4),
    micro_batches=st.integers(1, 3),
    tasks=st.sampled_from(["user", "stratum"]),
)
@settings(max_examples=200)
def test_every_way_out_leads_out(rows, steps, wanted, processes, micro_batches, tasks):
    """Do what the message says, and the numbers fit."""
    alignment = AlignmentConfig(tasks=tasks, inner_steps=steps, trajectories=wanted)
    world = {"processes": processes, "micro_batches": micro_batches}
    try:
        found = num_trajectories(alignment, batch_rows=rows, **world)
    except UserError as refusal:
        for way in str(refusal).split("; use ")[1].split(", or "):
            offers = [(key, map(int, numbers.split(" or "))) for key, numbers in (part.split("=") for part in way.split(" with "))]
            for choice in itertools.product(*(numbers for _, numbers in offers)):
                chosen = dict(zip([key for key, _ in offers], choice, strict=True))
                changed = replace(alignment, trajectories=chosen.get("`trajectories`", wanted))
                num_trajectories(changed, batch_rows=chosen.get("`batch_rows`", rows), **world)
    else:
        steps = steps if tasks == "user" else 1
        assert rows % (found * steps) == 0 and found % (processes * micro_batches) == 0
