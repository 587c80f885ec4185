"""Config words and the strategies behind them."""

from ltrec.distributed.config import NAMES
from ltrec.strategy import STRATEGIES
from tests.support.source_tree import ROOT


def test_every_name_that_a_user_may_say_is_a_strategy_and_in_the_readme():
    assert set(NAMES) == {"joint", *STRATEGIES}
    for name in NAMES:
        assert f"`{name}`" in (ROOT / "README.md").read_text()
