"""Mode aligned in gloo processes: the same update for one, two and three ranks, equal to the definition; one decision for all."""

from dataclasses import replace

import pytest

from tests.support.aligned_cases import CASES, tolerance
from tests.support.closeness import assert_close, assert_same
from tests.support.lightning_toy import Case, train
from tests.support.naive_alignment import naive_aligned_train
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn

STOPPED = replace(CASES["users"][0], spoil=(2, 1, 1))


def shared(case: Case, world: int) -> Case:
    """The case's six parts, so many to a rank; a spoilt rank is the second."""
    return replace(case, parts=6, ranks=tuple(part * world // 6 for part in range(6)))


def run_all(rank, world):
    act_as_rank(rank, world)
    found = {name: train(rank, world, shared(case, world)) for name, (case, _) in CASES.items()}
    return found | {"stopped": train(rank, world, shared(STOPPED, world))}


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request, tmp_path_factory):
    world = request.param
    return spawn(run_all, world, tmp_path_factory.mktemp(f"aligned-{world}") / "store", world, timeout=240)


@pytest.mark.parametrize("name", CASES)
def test_ranks_equal_the_definition_and_one_another(ranks, name):
    case, total = CASES[name]
    expected = naive_aligned_train(case, total)
    for rank in ranks:
        found = rank[name]
        assert found.error is None and found.steps == case.steps
        assert_close(found.weights, expected, tolerance(case))
        assert_same(found.weights, ranks[0][name].weights)
        for number, state in found.optimizer.items():
            assert_same(state, ranks[0][name].optimizer[number])


def test_a_window_is_two_collectives_of_known_size(ranks):
    """Counts, and the way with the number of its trajectories; a rank's own passes send nothing."""
    world, (case, _), log = len(ranks), CASES["users"], ranks[0]["users"].log
    assert log.calls == [{"all_reduce": 2 * (step + 1)} for step in range(case.steps)]
    numbers = sum(p.numel() for name, p in ranks[0]["users"].weights.items() if name not in ("frozen", "unused"))
    sent = sum(2 * 8 * n * (world - 1) // world for n in (case.strata, numbers + 1))
    assert log.sent[0] == {"all_reduce": sent}


def test_a_bad_number_on_one_rank_stops_all_with_the_same_line(ranks):
    errors = {rank["stopped"].error for rank in ranks}
    assert len(errors) == 1 and errors.pop().startswith("training diverged: ")
    assert {rank["stopped"].steps for rank in ranks} == {2}
