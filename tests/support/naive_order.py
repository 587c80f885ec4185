"""The order of the stream in plain Python lists, written from its description alone: what the closed forms are tested against."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ltrec.core.hashing import mix, mix_array, permutation
from ltrec.data.manifest import Manifest
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.plan import Plan

Row = tuple[int, int]
"""Number of the shard, row in it."""


def planned_rows(plan: Plan, step: int, lanes: range, block_rows: int) -> list[Row]:
    """What the fast path puts into the slots of these lanes."""
    slots: dict[int, Row] = {}
    for draw in plan.draws(step, lanes):
        pieces = plan.pieces(draw.buffer)
        rows = [
            (int(pieces.blocks.shard[i]), int(pieces.blocks.group[i]) * block_rows + row)
            for i in range(pieces.blocks.count)
            for row in range(int(pieces.low[i]), int(pieces.high[i]))
        ]
        for slot, row in zip(draw.slots.tolist(), draw.rows.tolist(), strict=True):
            assert slot not in slots
            slots[slot] = rows[row]
    return [slots[i] for i in range(len(slots))]


def naive_steps(manifest: Manifest, seed: int, config: StreamConfig, plan: Plan, steps: int) -> list[list[Row]]:
    """The slots of the first steps. Of the plan only the quotas and the residency of its pools are used."""
    per_lane = config.batch_rows // config.lanes
    result = [[(-1, -1)] * config.batch_rows for _ in range(steps)]
    draws = _draws([pool.quota for pool in plan.pools], config.lanes, per_lane, [p.rows for p in plan.pools], steps)
    for number, pool in enumerate(plan.pools):
        blocks = _dealt_blocks(manifest, seed, sorted(set(pool.blocks.shard.tolist())))
        rows = [row for block in blocks for row in block]
        for epoch in range(len(draws[number]) // len(rows)):
            mine = draws[number][epoch * len(rows) : (epoch + 1) * len(rows)]
            if pool.resident:
                order = [rows[i] for i in permutation(mix(seed, number, epoch), len(rows))]
            else:
                order = _lane_order(seed, number, epoch, blocks, [lane for _, lane, _ in mine], config)
            for (step, _, slot), row in zip(mine, order, strict=True):
                if step < steps:
                    result[step][slot] = row
    return result


def _draws(quotas: list[int], lanes: int, per_lane: int, rows: list[int], steps: int) -> list[list[tuple[int, int, int]]]:
    """Per pool its draws as (step, lane, slot), until the epochs that the asked steps touch are complete."""
    labels = [pool for pool, quota in enumerate(quotas) for _ in range(quota)]
    draws: list[list[tuple[int, int, int]]] = [[] for _ in quotas]
    step = 0
    while step < steps or any(len(d) < -(-steps * q // n) * n for d, q, n in zip(draws, quotas, rows, strict=True)):
        slots = defaultdict(list)
        for j, pool in enumerate(labels):
            slots[(j + step) % lanes].append(pool)
        for lane in range(lanes):
            for place, pool in enumerate(sorted(slots[lane])):
                draws[pool].append((step, lane, lane * per_lane + place))
        step += 1
    return draws


def _dealt_blocks(manifest: Manifest, seed: int, shards: list[int]) -> list[list[Row]]:
    keyed = []
    for z in sorted({manifest.shards[n].stratum for n in shards}):
        mine = [n for n in shards if manifest.shards[n].stratum == z]
        total, before = sum(manifest.shards[n].rows for n in mine), 0
        for n in sorted(mine, key=lambda n: int(mix_array(mix(seed, 0x4445414C), np.array([n]))[0])):
            for low in range(0, manifest.shards[n].rows, manifest.block_rows):
                high = min(low + manifest.block_rows, manifest.shards[n].rows)
                keyed.append((((2 * before + high - low) / (2 * total), z), [(n, row) for row in range(low, high)]))
                before += high - low
    return [block for _, block in sorted(keyed, key=lambda pair: pair[0])]


def _lane_order(
    seed: int, pool: int, epoch: int, blocks: list[list[Row]], lane_of_draw: list[int], config: StreamConfig
) -> list[Row]:
    """Rows of a pool-epoch in order of its draws, whose lanes are given."""
    block_of = [number for number, block in enumerate(blocks) for _ in block]
    rows = [row for block in blocks for row in block]
    queues: dict[int, list[Row]] = {}
    at = 0
    for lane in range(config.lanes):
        share = lane_of_draw.count(lane)
        pieces: dict[int, list[Row]] = defaultdict(list)
        for i in range(at, at + share):
            pieces[block_of[i]].append(rows[i])
        at += share
        inner = list(pieces.values())
        inner = [inner[i] for i in permutation(mix(seed, pool, 1, lane, epoch), len(inner))]
        if config.shuffle_shards:
            shards = sorted({piece[0][0] for piece in inner})
            turns = [shards[i] for i in permutation(mix(seed, pool, 3, lane, epoch), len(shards))]
            inner.sort(key=lambda piece, turns=turns: turns.index(piece[0][0]) // config.shuffle_shards)
        queues[lane] = []
        number, opening = 0, 1 + lane * config.buffer_blocks // config.lanes
        while inner:
            size = opening if number == 0 else config.buffer_blocks
            window = [row for piece in inner[:size] for row in piece]
            queues[lane] += [window[i] for i in permutation(mix(seed, pool, 2, lane, epoch, number), len(window))]
            inner, number = inner[size:], number + 1
    return [queues[lane].pop(0) for lane in lane_of_draw]
