"""Models on rectangles are the packed ones, whatever they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ltrec.artefact.dense import buckets
from ltrec.artefact.dense.buckets import exact_bucket
from ltrec.artefact.dense.memory import DenseMemory
from ltrec.artefact.dense.program import ALLOWED, FALLBACK, FALLBACK_SCORE, RecommenderProgram
from ltrec.artefact.dense.scorers import CANDIDATES, ITEM_VECTORS, scores_of
from ltrec.artefact.parity import Parity, arguments_of, compare
from ltrec.artefact.recommender import order_of, vectors_of
from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError
from ltrec.core.ragged import prefix_sums, ragged
from ltrec.core.strata import Strata
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.evaluation.memory.scores import Memory
from ltrec.models.backbones.din import DIN
from ltrec.models.backbones.gru4rec import GRU4Rec
from ltrec.models.backbones.sasrec import SASRec
from ltrec.models.inputs.times import log_bucket
from ltrec.models.plugins.bottleneck import plug
from ltrec.models.plugins.copies import Copies
from ltrec.models.plugins.melt import Melt
from tests.support.inputs import every_input, with_columns

ITEMS, MAX_LEN, STRATA = 40, 7, Strata((1, 4, 9), (5, 5, 5), (9, 9, 9), 4)


def chunk_of(lengths, *, columns: bool, seed: int = 3) -> HistoryChunk:
    """Users with so many items; the batch has the last ones."""
    draw, lengths = np.random.default_rng(seed), np.asarray(lengths)
    seen, offsets = draw.integers(1, ITEMS + 1, lengths.sum()), prefix_sums(lengths)
    cropped = np.minimum(lengths, MAX_LEN)
    items = torch.from_numpy(seen[ragged(offsets[1:] - cropped, cropped)])
    stratum, key = torch.from_numpy(STRATA.serving(lengths)), torch.zeros(len(lengths), dtype=torch.int64)
    batch = SequenceBatch.of_histories(items, torch.from_numpy(prefix_sums(cropped)), stratum, key)
    batch = with_columns(batch) if columns else batch
    names, length_B = [f"u{n}" for n in range(len(lengths))], torch.from_numpy(lengths)
    return HistoryChunk(0, batch, names, stratum, length_B, length_B, key, torch.from_numpy(seen), torch.from_numpy(offsets))


def made_of(backbone: str, columns: bool, **options):
    torch.manual_seed(1)
    inputs = {"inputs": every_input(ITEMS)} if columns else {}
    return {"sasrec": SASRec, "gru4rec": GRU4Rec, "din": DIN}[backbone](ITEMS, MAX_LEN, width=16, **inputs, **options).eval()


def spread(module: torch.nn.Module) -> None:
    """Weights that matter, whatever they began as."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)


def with_plugins(trunk, plugin: str):
    if plugin == "none":
        return trunk
    if plugin == "copies":
        wrapped = Copies(trunk, num_strata=3)
    elif plugin == "melt":
        wrapped = Melt(trunk, strata=STRATA, seed=0, max_len=MAX_LEN, weight=1.0, ramp_steps=1)
    else:
        wrapped = plug(trunk, num_strata=3, form=plugin)
    wrapped.wake(1)
    spread(wrapped)
    return wrapped.eval()


def compared(scorer, chunk, *, dense=None, memory=None, filter_seen=True, allowed=ITEMS) -> Parity:
    program = RecommenderProgram(
        scores_of(dense or scorer, 3),
        memory and DenseMemory(memory.form, (0.3, 0.2, 0.1), decay=0.8, last=5, share=memory.share, filter_seen=memory.filter_seen),
        max_len=MAX_LEN,
        bounds=STRATA.lower_bounds,
        heirs=(0, 1, 2),
        k=12,
        filter_seen=filter_seen,
    ).eval()
    with torch.no_grad():
        tables = vectors_of(dense or scorer) | {ALLOWED: torch.arange(ITEMS + 1) <= allowed, CANDIDATES: torch.arange(1, ITEMS + 1)}
    tables |= dict.fromkeys((FALLBACK, FALLBACK_SCORE), torch.zeros(ITEMS + 1))
    if memory is not None:
        for name in ("neighbours", "similar"):
            own = getattr(memory, name)
            tables |= {f"{name}.item": own.item_VN, f"{name}.weight": own.weight_VN}

    def score(chunk):
        return scorer.scores(chunk.batch)

    score = score if memory is None else memory.beside(score, (0.3, 0.2, 0.1))
    return compare(program, score, chunk, tables, filter_seen=filter_seen, rows=4)


@pytest.mark.parametrize("plugin", ["none", "identity", "released", "melt", "copies"])
@pytest.mark.parametrize(
    ("backbone", "options", "columns"),
    [
        ("sasrec", {"heads": 2}, False),
        ("sasrec", {"heads": 2}, True),
        ("sasrec", {"norm": "post", "positions": "distance"}, False),
        ("sasrec", {"time_bias": True, "expansion": 2}, True),
        ("gru4rec", {"layers": 2}, False),
        ("gru4rec", {}, True),
        ("din", {"layers": (12, 8)}, False),
        ("din", {"layers": (12, 8, 4)}, True),
    ],
)
def test_scores_and_lists_are_those_of_the_packed_model(backbone, options, columns, plugin):
    if (backbone, plugin) == ("din", "melt"):
        pytest.skip("MELT maps states, and DIN has none")
    trunk = made_of(backbone, columns, **options)
    spread(trunk)
    found = compared(with_plugins(trunk, plugin), chunk_of([1, 2, 3, 4, 6, 7, 8, 9, 15, 1], columns=columns))
    assert found.histories == 10 and found.largest < 1e-4 and found.unequal == 0
    found.refuse()


@pytest.mark.parametrize("plugin", ["identity", "copies"])
def test_sleeping_plugins_are_the_trunk(plugin):
    trunk = made_of("din", False)
    spread(trunk)
    asleep = (Copies(trunk, num_strata=3) if plugin == "copies" else plug(trunk, num_strata=3, form=plugin)).eval()
    spread(asleep)
    assert {*vectors_of(asleep)} == {ITEM_VECTORS}
    assert compared(asleep, chunk_of([1, 4, 9, 2], columns=False)).largest < 1e-5


@pytest.mark.parametrize("filter_seen", [True, False])
@pytest.mark.parametrize("form", ["mix", "log"])
def test_a_memory_adds_the_same(form, filter_seen):
    trunk = made_of("sasrec", False)
    draw = torch.Generator().manual_seed(2)
    tables = []
    for _ in range(2):
        item_VN = torch.stack([torch.randperm(ITEMS, generator=draw)[:6] + 1 for _ in range(ITEMS + 1)]).int()
        weight_VN = torch.rand(ITEMS + 1, 6, generator=draw)
        item_VN[0], weight_VN[0], weight_VN[5], item_VN[5] = 0, 0, 0, 0
        tables.append(Neighbours(item_VN, weight_VN, {}))
    memory = Memory(tables[0], form, 0.8, 5, filter_seen, tables[1], 0.4)
    chunk = chunk_of([1, 2, 5, 9, 14], columns=False)
    found = compared(trunk, chunk, memory=memory, filter_seen=filter_seen, allowed=33)
    assert found.largest < 1e-5 and found.unequal == 0


def test_another_model_is_refused():
    chunk, other = chunk_of([3, 4, 9], columns=False), made_of("sasrec", False)
    spread(other)
    wrong = compared(other, chunk, dense=made_of("sasrec", False))
    with pytest.raises(UserError, match="the program is not the run: over 3 histories scores differ by up to"):
        wrong.refuse()
    with pytest.raises(UserError, match="nan"):
        replace(wrong, largest=float("nan"), unequal=0).refuse()


def test_columns_lie_where_their_items_do():
    chunk = chunk_of([2, 9], columns=True)
    items, events, users = arguments_of(chunk)
    assert items.shape == (2, 9) and items[0].tolist() == [*chunk.seen_T[:2].tolist(), *[0] * 7]
    assert events["brand"][0, :2].tolist() == chunk.batch.events["brand"][:2].tolist()
    assert events["brand"][1, 2:].tolist() == chunk.batch.events["brand"][2:].tolist() and users["age"].shape == (2,)


def test_an_empty_history_gets_what_is_popular():
    network = scores_of(made_of("sasrec", False), 1)
    program = RecommenderProgram(network, None, max_len=5, bounds=(1,), heirs=(0,), k=3, filter_seen=True)
    counts = torch.tensor([0.0, 5.0, 9.0, 5.0, 1.0])
    tables = {ITEM_VECTORS: torch.randn(5, 16), ALLOWED: torch.tensor([False, True, True, True, False])}
    tables |= {FALLBACK: order_of(counts), FALLBACK_SCORE: counts}
    with torch.no_grad():
        scores, items = program.eval()(torch.tensor([[0, 0], [2, 0]]), {}, {}, tables)
    assert items[0].tolist() == [2, 1, 3] and scores[0].tolist() == [9, 5, 5]
    assert {*items[1, :2].tolist()} == {1, 3} and scores[1, 2] == -torch.inf


def test_buckets_of_time_are_those_of_the_model_whatever_the_logarithm(monkeypatch):
    near = {max(0, round(2 ** (half / 2)) + d) for half in range(80) for d in (-1, 0, 1)}
    durations = torch.tensor(sorted(near | {-5, 0, 3, 86400, 2**61}))
    assert torch.equal(exact_bucket(durations), log_bucket(durations))
    for wrong in (-1, 1):
        monkeypatch.setattr(buckets, "log_bucket", lambda d, by=wrong: (log_bucket(d) + by * (d > 0)).clamp(0, 63))
        assert torch.equal(exact_bucket(durations)[durations < 2**31], log_bucket(durations)[durations < 2**31])
