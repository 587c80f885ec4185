"""Registries: one row a variant, refusals in one line, rows from outside."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from ltrec.core.bounds import Among
from ltrec.core.errors import UserError
from ltrec.core.extension.registry import Registry, Row, Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(Variant[tuple]):
    offers: ClassVar[tuple[str, ...]] = ("size", "colour")
    needs: tuple[str, ...] = ("size",)
    round: bool = False


@dataclass(frozen=True)
class CircleConfig:
    name: str = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class NeedyConfig:
    name: str
    radius: float


@dataclass(frozen=True)
class NamelessConfig:
    radius: float = 1.0


def circle(*, size, radius=1.0):
    return (size, radius)


def shapes():
    registry = Registry("shape.name", Shape)
    registry.register("circle", config=CircleConfig, build=circle, round=True)
    return registry


def test_a_row_builds_from_its_options_and_the_parts_it_needs():
    row = shapes()["circle"]
    assert row.make(size=3, colour="red", radius=2.0) == (3, 2.0)
    assert row.config == CircleConfig and row.round
    with pytest.raises(TypeError, match="radios"):
        row.make(size=3, radios=2.0)


def test_a_variant_without_options_needs_no_config():
    registry = shapes()
    registry.register("dot", build=circle)
    assert registry["dot"].config().name == "dot" and registry.configs()["dot"]().name == "dot"


def test_it_is_a_collection_of_names_in_their_order():
    registry = shapes()
    registry.register("disc", config=dataclass(type("C", (), {"__annotations__": {"name": str}, "name": "disc"})), build=circle)
    assert list(registry) == ["circle", "disc"] and len(registry) == 2 and "disc" in registry and "box" not in registry
    assert registry.where("round") == ("circle",) and registry.where("round", False) == ("disc",)
    assert list(registry.configs()) == ["circle", "disc"]
    registry.remove("disc")
    assert list(registry) == ["circle"]


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known():
    with pytest.raises(UserError, match=r"^unknown shape.name 'circel' \(did you mean 'circle'\?\); known: circle$"):
        shapes()["circel"]
    with pytest.raises(UserError, match=r"unknown shape\.name 'box'"):
        shapes().remove("box")


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("circle", {"config": CircleConfig, "build": circle}, "shape.name=circle is registered already, by"),
        ("two words", {"config": CircleConfig, "build": circle}, "'two words' cannot be registered"),
        ("box", {"config": CircleConfig, "build": circle}, "CircleConfig.name is 'circle'; it must be 'box'"),
        ("box", {"config": dict, "build": circle}, "config must be a dataclass with a field 'name'"),
        ("box", {"config": NamelessConfig, "build": circle}, "config must be a dataclass with a field 'name'"),
        ("box", {"config": NeedyConfig, "build": circle}, "every option of NeedyConfig needs a default"),
        ("box", {"config": CircleConfig, "build": circle, "rund": True}, r"a row has no 'rund' \(did you mean 'round'\?\)"),
        ("box", {"config": CircleConfig}, "a row needs 'build'"),
    ],
)
def test_a_row_that_is_none_is_refused_and_leaves_nothing(name, row, said):
    registry = shapes()
    with pytest.raises(UserError, match=said):
        registry.register(name, **row)
    assert list(registry) == ["circle"]


def test_a_part_that_is_not_offered_is_refused():
    registry = Registry("shape.name", Shape)
    with pytest.raises(UserError, match="needs 'wait', which is not offered; offered: size, colour"):
        registry.register("circle", config=CircleConfig, build=circle, needs=("wait",))


def test_a_field_bounded_by_a_registry_sees_what_is_registered_later():
    registry = Registry("sort", Row)
    bound = Among(registry)
    assert "must be one of ; got 'quick'" in str(bound.fault("quick"))
    registry.register("quick", build=sorted)
    assert bound.fault("quick") is None
    assert bound.fault("quik") == "must be one of quick; got 'quik' (did you mean 'quick'?)"
