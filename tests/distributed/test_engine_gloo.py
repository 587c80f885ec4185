"""The engine in real processes: collectives really are asynchronous there, and ranks really are out of step. Float32 to 1e-6.

The threaded suite proves the algebra; here buffers that are reused too early, or a collective that one rank skips, would show. The
table is large, so that a reduce-scatter takes a while, and every rank dawdles at other moments.
"""

import random
import time

import pytest
import torch

from tests.support.closeness import assert_close, assert_same
from tests.support.engine_run import MODES, bench, spoiled
from tests.support.naive_strata import naive_step
from tests.support.spawn import spawn
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear, renormalised
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded

PRIOR_K = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1], dtype=torch.float64)
TABLE = {"items": 60_000, "dtype": torch.float32}
CASES = [
    *[(rule, mode, "split", {"plugins": mode != "replay"}) for rule in (ToyLinear, ToyGram) for mode in MODES[rule.kind]],
    *[(rule, mode, "retained", {"couples_rows": True}) for rule in (ToyLinear, ToyGram) for mode in MODES[rule.kind]],
    (ToyCoordinate, "per_stratum", "split", {}),
]


def window_of(world):
    """Rank 0 has no rows of its own in one micro-batch, stratum 3 is nowhere, stratum 1 on the last rank alone."""
    full = crowded(world, 5, 3)
    return full.without(lambda r: (r.rank == 0 and r.micro == 1) or r.stratum == 3 or (r.stratum == 1 and r.rank < world - 1))


def dawdling(made, rank):
    """Every pass of every rank takes another while."""
    moods, losses = random.Random(rank), made.losses
    made.losses = lambda batch, stratum: time.sleep(moods.random() * 0.003) or losses(batch, stratum)
    return made


def first_items(gradients):
    """What the test compares travels between processes: the table's used rows, and whether the others are zero."""
    assert not gradients["table"][12:].any()
    return {name: g[:12] if name == "table" else g for name, g in gradients.items()}


def run_cases(rank, world):
    window, found = window_of(world), []
    for rule, mode, source, options in CASES:
        made = dawdling(bench(5, rule(PRIOR_K), mode, source=source, **TABLE, **options), rank)
        for _ in range(2):
            made.step(window.batches(rank))
        spent = made.engine.collectives
        gradients = {name: g.numpy() for name, g in first_items(made.gradients()).items()}  # arrays travel by value
        found.append((gradients, made.engine.report.weights_K.numpy(), dict(spent.calls), dict(spent.sent)))
    return found, seen_nan(rank, world)


def seen_nan(rank, world):
    window = window_of(world)
    made = bench(5, ToyGram(PRIOR_K), "per_stratum", spoil=spoiled(float("nan"), 1, world - 1)(rank), **TABLE)
    made.engine.open(window.batches(rank)[0], rows=True)
    for batch in window.batches(rank):
        made.engine.add_gradients(made.losses, batch)
    return bool(made.engine.gram().isfinite().all())


def definition(rule, window, options):
    """The naive step on the same float32 numbers, in float64."""
    stage = ToyStage(5, **TABLE, **options).double()
    kind = rule.kind

    def weights(gram_KK, counts_K):
        return rule(PRIOR_K).weights(gram_KK, counts_K, 0) if kind == "gram" else renormalised(PRIOR_K, counts_K)

    return naive_step(stage, window.all_batches(), weights, toy_owner, PRIOR_K)


def unpacked(gradients, weights_K, *spent):
    return {name: torch.from_numpy(g) for name, g in gradients.items()}, torch.from_numpy(weights_K), *spent


@pytest.mark.parametrize("world", [2, 3])
def test_engine_in_real_processes(world, tmp_path):
    window = window_of(world)
    ranks = spawn(run_cases, world, tmp_path / "store", world)
    assert [nan_free for _, nan_free in ranks] == [False] * world
    for number, (rule, _, _, options) in enumerate(CASES):
        here = [unpacked(*found[number]) for found, _ in ranks]
        for gradients, weights_K, calls, sent in here:
            assert_same(gradients, here[0][0])
            assert torch.equal(weights_K.nan_to_num(), here[0][1].nan_to_num()) and (calls, sent) == here[0][2:]
        if rule is not ToyCoordinate:
            true = definition(rule, window, options)
            assert_close({"w": here[0][1]}, {"w": true.weights_K}, 1e-6)
            assert_close({name: g.double() for name, g in here[0][0].items()}, first_items(true.gradients), 1e-6)
