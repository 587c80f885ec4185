"""Bounds stand beside the field; every number of every config has them, and every config heeds them."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.config.tree import RunConfig, variants
from ltrec.core.bounds import Between, OneOf, bounds_of, check_fields
from ltrec.data.fetch import SyntheticConfig

FREE_TEXT = {
    "name",  # of the run, checked by its own rule; of a variant, by its table
    *("out", "resume", "init_from", "path", "sources"),  # places
    "imports",  # modules, imported
    *(
        "columns",
        "user",
        "item",
        "time",
        "weight",
        *("items", "events", "users"),
        "delimiter",
        "null_values",
        "where",
        "time_format",
    ),  # of a log: parsed, or held against it
    *("earliest", "latest", "valid_from", "test_from", "memory_limit"),  # dates and sizes, parsed where they are used
    *("monitor", "project", "entity", "group", "tags", "places"),
}
"""Fields of text that no list of words bounds."""


def configs() -> Iterator[type]:
    """Every dataclass that a user can set something of."""
    chosen = [config for table in variants().values() for config in table.values()]
    sections = [type(getattr(RunConfig(), f.name)) for f in fields(RunConfig) if is_dataclass(getattr(RunConfig(), f.name))]
    inner = [type(value) for made in (variant() for variant in chosen) for value in map(made.__getattribute__, made.__slots__)]
    yield from dict.fromkeys([RunConfig, *sections, *chosen, *filter(is_dataclass, inner), SyntheticConfig])


def leaves(hint: Any) -> set[Any]:
    """The types of the scalars that a field may hold."""
    inner = [argument for argument in get_args(hint) if argument is not Ellipsis]
    if get_origin(hint) is Literal:
        return {Literal}
    return set().union(*map(leaves, inner)) if get_origin(hint) in (tuple, Union, types.UnionType) else {hint}


EVERY = [(config, name, leaves(hint)) for config in configs() for name, hint in get_type_hints(config).items()]
BOUNDED = [(config, name) for config in configs() for name in bounds_of(config)]


def test_every_number_of_every_config_has_bounds() -> None:
    assert len(EVERY) > 150
    numbers = {f"{config.__name__}.{name}" for config, name, kinds in EVERY if kinds & {int, float}}
    assert numbers - {f"{config.__name__}.{name}" for config, name in BOUNDED} == set()


def test_bounds_end_somewhere() -> None:
    endless = [(c.__name__, n) for c, n in BOUNDED if isinstance(b := bounds_of(c)[n], Between) and math.isinf(b.high - b.low)]
    assert endless == [("TemperedPriorConfig", "temperature")], "at infinity every stratum counts alike, which is a choice"


def test_every_word_of_every_config_is_one_of_a_list_or_free() -> None:
    words = {(config, name) for config, name, kinds in EVERY if str in kinds and name not in FREE_TEXT}
    assert words - set(BOUNDED) == set()


@pytest.mark.parametrize(("config", "name"), BOUNDED, ids=lambda value: getattr(value, "__name__", value))
def test_every_config_heeds_its_bounds(config: type, name: str) -> None:
    bound, default = bounds_of(config)[name], getattr(config(), name)
    wrong = [bound.low - 1, bound.high * 2 + 1, math.nan] if isinstance(bound, Between) else ["no such word"]
    for value in wrong:
        if not math.isinf(value if isinstance(value, float) else 0):
            with pytest.raises(ValueError, match=rf"^{name} must be .*; got "):
                replace(config(), **{name: (value,) if isinstance(default, tuple) else value})


@dataclass(frozen=True)
class Sample:
    share: Annotated[float, Between(0, 1, above=True)] = 0.5
    counts: tuple[Annotated[int, Between(1, 9)], ...] = ()
    limit: Annotated[int, Between(0, 5, below=True)] | None = None
    word: Annotated[str, OneOf("red", "green")] = "red"
    free: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


def test_bounds_are_found_at_any_depth_of_an_annotation() -> None:
    assert bounds_of(Sample).keys() == {"share", "counts", "limit", "word"}
    assert Sample(1.0, (1, 9), None, "green", "anything") == Sample(1, (1, 9), None, "green", "anything")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"share": 0}, "share must be above 0; got 0"),
        ({"share": 1.5}, "share must be at most 1; got 1.5"),
        ({"counts": (3, 10)}, "counts must be at most 9; got 10 in [3, 10]"),
        ({"counts": (0,)}, "counts must be at least 1; got 0 in [0]"),
        ({"limit": 5}, "limit must be below 5; got 5"),
        ({"limit": 10**5000}, "limit must be below 5; got a number of thousands of digits"),
        ({"word": "gren"}, "word must be one of red, green; got 'gren' (did you mean 'green'?)"),
    ],
)
def test_the_message_names_field_bound_and_value(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Sample(**wrong)
    assert str(caught.value) == said


@given(st.floats() | st.integers(), st.booleans(), st.booleans())
def test_between_is_the_comparison_it_looks_like(value: float, above: bool, below: bool) -> None:
    inside = (value > -2 if above else value >= -2) and (value < 3 if below else value <= 3)
    assert (Between(-2, 3, above=above, below=below).fault(value) is None) == inside
