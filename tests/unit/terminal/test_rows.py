"""Progress text fits any width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.terminal.progress_text import duration, fit_parts, with_bar


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0.0 s"), (9.84, "9.8 s"), (59.96, "1:00"), (185, "3:05"), (3723, "1:02:03"), (86400 * 2 + 61, "2 days 0:01:01")],
)
def test_durations(seconds, told):
    assert duration(seconds) == told


def test_a_rounded_minute_is_never_sixty_seconds():
    assert duration(59.4, digits=0) == "59 s" and duration(59.6, digits=0) == "1:00"


@given(st.lists(st.text("abc ", min_size=1, max_size=20), min_size=1, max_size=8), st.integers(20, 200))
def test_parts_are_kept_in_order_while_they_fit(parts, width):
    line = fit_parts(parts, width)
    assert len(line) <= max(width, len(parts[0]))
    assert line in ["  ".join(parts[: n + 1]) for n in range(len(parts))]


@given(st.floats(0, 1), st.integers(40, 200))
def test_a_bar_leaves_room_for_the_shortest_tail(share, width):
    line = with_bar("epoch 3/20", share, [" 17%  step 1,234/7,260  at most 12:34 left", " 17%  at most 12:34 left", " 17%"], width)
    assert len(line) < width and line.startswith("epoch 3/20 ") and " 17%" in line


def test_a_bar_shows_its_share():
    assert with_bar("a", 0.5, ["b"], 14, ascii_only=True) == "a #####---- b".replace("#####----", "####-----")
