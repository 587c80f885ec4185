"""The table of modes, and when a strategy looks into it. What each mode computes is seen in the runs of test_stratified_single."""

import pytest

from ltrec.distributed.strategies import MODES, STRATEGIES
from ltrec.strategy.modes.table import GRADIENT_MODES
from tests.support.closeness import assert_close
from tests.support.lightning_toy import Case, strategy_of, train
from tests.support.naive_training import naive_train
from tests.support.stratified_cases import tolerance


def test_strategies_name_modes_of_the_table():
    assert list(GRADIENT_MODES) == list(MODES)
    assert {mode for info in STRATEGIES.values() for mode in info.modes} == set(MODES)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_mode_is_asked_for_once_a_window(accumulate):
    """Two modes that agree, in turns: the run is the definition's, and every window reports as its own mode does."""
    case = Case(accumulate=accumulate, holes=())
    strategy, asked = strategy_of(case, 1), []

    def active_mode():
        asked.append(("per_stratum", "weighted")[len(asked) % 2])
        return asked[-1]

    strategy.active_mode = active_mode
    found, expected = train(0, 1, case, strategy), naive_train(case)
    assert found.error is None
    assert asked == ["per_stratum", "weighted"] * 3
    assert [report.norms_K is not None for report in found.log.reports[accumulate - 1 :: accumulate]] == [True, False] * 3
    assert_close(found.weights, expected.weights, tolerance(case))
