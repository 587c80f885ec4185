"""What is built from JSON has the types that its annotations promise, or is refused by the name of the key."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.bounds import Between, OneOf, check_fields
from ltrec.core.storage.typed import construct


class Known(TypedDict, total=False):
    count: Annotated[int, Between(0, 9)]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Inner:
    path: str
    share: float

    def __post_init__(self) -> None:
        if self.path == "bad":
            raise ValueError("the path is bad")


@dataclass(frozen=True)
class Outer:
    inner: Inner
    several: tuple[Inner, ...]
    pair: tuple[int, str]
    free: Annotated[dict[str, Any], Known]
    versions: dict[str, str]
    word: Annotated[str, OneOf("a", "b")] = "a"
    letter: Literal["x", "y"] = "x"
    maybe: Annotated[int, Between(1, 5)] | None = None
    flag: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


GOOD: dict[str, Any] = {
    "inner": {"path": "x", "share": 1},
    "several": [{"path": "y", "share": 0.5}],
    "pair": [3, "c"],
    "free": {"count": 9, "names": ["n"], "other": [1, {}]},
    "versions": {"ltrec": "1"},
}


def test_what_is_right_becomes_the_dataclass() -> None:
    made = construct(Outer, GOOD)
    assert made.inner == Inner("x", 1.0) and made.several == (Inner("y", 0.5),) and made.pair == (3, "c")
    assert made.free == GOOD["free"] and made.maybe is None
    assert construct(Outer, asdict(made)) == made


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inner": None}, "inner must be an object; got None"),
        ({"inner": {"path": "x"}}, "inner.share is missing"),
        ({"inner": {"path": "x", "share": "1"}}, "inner.share must be a number; got '1'"),
        ({"inner": {"path": "x", "share": float("nan")}}, "inner.share must be a number; got nan"),
        ({"inner": {"path": "x", "share": True}}, "inner.share must be a number; got True"),
        ({"inner": {"path": "bad", "share": 0}}, "inner: the path is bad"),
        ({"inner": {"path": "a\0b", "share": 0}}, "inner.path holds what no text may hold"),
        ({"inner": {"path": "\udcff", "share": 0}}, "inner.path holds what no text may hold"),
        ({"several": {}}, "several must be a list; got {}"),
        ({"several": [{"path": "x", "share": 0}, 7]}, "several[1] must be an object; got 7"),
        ({"letter": "z"}, "letter must be one of x, y; got 'z'"),
        ({"pair": [3]}, "pair must be a list of 2; got [3]"),
        ({"pair": [True, "c"]}, "pair[0] must be a whole number; got True"),
        ({"free": {"count": 10}}, "free.count must be at most 9; got 10"),
        ({"free": {"names": [1]}}, "free.names[0] must be text; got 1"),
        ({"versions": {"ltrec": 1}}, "versions.ltrec must be text; got 1"),
        ({"word": "c"}, "word must be one of a, b; got 'c'"),
        ({"maybe": 6}, "maybe must be at most 5; got 6"),
        ({"maybe": "x"}, "maybe must be a whole number; got 'x'"),
        ({"flag": 1}, "flag must be true or false; got 1"),
        ({"more": 1}, "more is not known"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        construct(Outer, {**GOOD, **change})
    assert str(caught.value).startswith(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "path", "share", "count"]), inner),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.sampled_from([*GOOD, "word", "maybe", "flag"]), JSON)
def test_anything_is_built_or_refused(key: str, value: Any) -> None:
    try:
        made = construct(Outer, {**GOOD, key: value})
    except ValueError:
        return
    assert isinstance(made.inner, Inner) and all(isinstance(s, Inner) for s in made.several) and type(made.pair[0]) is int
    assert type(made.flag) is bool and made.word in ("a", "b") and made.free.get("count", 0) in range(10)
