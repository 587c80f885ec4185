"""On a log where items really follow one another a memory of them helps a network that knows none of it, and one of other items
does not."""

from __future__ import annotations

import pytest

from ltrec.data.fetch.synthetic import SyntheticConfig, generate
from ltrec.data.neighbours.count import count_neighbours
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.vocabulary import Vocabulary
from ltrec.evaluation.baselines import popularity
from ltrec.evaluation.memory.config import GRIDS
from ltrec.evaluation.memory.scores import Memory
from ltrec.evaluation.memory.weighing import WeightChoice, choose, rank_by_weight
from tests.support.memory import permuted
from tests.support.shards import leave_one_out, write_dataset

ITEMS = 200


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A synthetic log, prepared; its neighbours."""
    folder = tmp_path_factory.mktemp("log")
    table = generate(SyntheticConfig(users=1500, items=ITEMS, seed=3))  # in order of time
    numbers: dict[str, int] = {}
    of_user: dict[str, list[int]] = {}
    for user, item in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True):
        of_user.setdefault(user, []).append(numbers.setdefault(item, len(numbers) + 1))
    users = [leave_one_out(n, items, int(len(items) > 12)) for n, items in enumerate(of_user.values())]
    manifest = write_dataset(folder, users, num_items=ITEMS, block_rows=256, shard_rows=2000)
    return folder, manifest, count_neighbours(folder, manifest)


def chosen(log, form: str, seed: int | None = None) -> WeightChoice:
    folder, manifest, known = log
    mind = Memory(known if seed is None else permuted(known, seed), form, 0.85, 50, True)
    histories = SplitHistories(folder, manifest, "valid", 20)
    network = popularity(Vocabulary.load(folder, manifest).train_count)
    chunks = (histories.chunk(i) for i in range(len(histories)))
    return choose(rank_by_weight(mind, lambda chunk: 0.05 * network(chunk), chunks, GRIDS[form]), GRIDS[form], fallback=0.6)


@pytest.mark.parametrize("form", GRIDS)
def test_the_log_s_own_memory_helps_and_a_permuted_one_does_not(log, form):
    own = chosen(log, form)
    assert own.all.users > 1000 and own.all.weight > 0
    network = own.all.ndcg[0]
    gain = max(own.all.ndcg) - network
    assert gain > 2 * network
    for seed in range(2):
        other = chosen(log, form, seed)
        assert other.all.ndcg[0] == network
        assert max(other.all.ndcg) - network < 0.03 * gain
