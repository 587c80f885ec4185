import pytest

from ltrec.core.counting import counted, of_range


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1024, "1,024 events"), (-1, "-1 events")]
)
def test_one_alone_is_singular(number, text):
    assert counted(number, "event") == text


def test_a_noun_may_have_a_plural_of_its_own():
    assert [counted(n, "process", "processes") for n in (1, 2)] == ["1 process", "2 processes"]


@pytest.mark.parametrize(("name", "text"), [("1", "1 event"), ("1-3", "1-3 events"), ("1+", "1+ events"), ("21", "21 events")])
def test_only_the_range_that_is_one_alone_is_singular(name, text):
    assert of_range(name, "event") == text
