"""Fields that hold things by name: `Mapping[str, X]`, where a user chooses the names.

    event_columns: {price: {kind: number, log: true}, event_type: category}      X is a dataclass: a section that its `kind` chooses
    targets: {event_type: [purchase]}                                            X is a value

`price: number` is short for `price: {kind: number}`. Files and overrides add to what others have named; a mapping that is written
empty, `{}`, forgets values, but not sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ltrec.config.source import Setting
from ltrec.config.variants import Tables, with_at
from ltrec.core.errors import UserError, nearest

T = TypeVar("T")
KIND = "kind"


def with_entries(defaults: T, settings: Sequence[Setting], tables: Tables) -> tuple[T, list[Setting]]:
    """`defaults` with a section for every name that the settings use, and the settings without short forms.

    Args:
        defaults: the tree.
        settings: in the order in which they win.
        tables: dotted path of a field of sections -> kind -> dataclass.

    Raises:
        UserError: a section without a kind, or of an unknown one, or a name that the field does not take.
    """
    tree, spelled = defaults, list(settings)
    for path, table in tables.items():
        spelled = [_spelled_out(setting, path) for setting in spelled]
        inside = [setting for setting in spelled if setting.key.startswith(f"{path}.")]
        names = dict.fromkeys(setting.key.removeprefix(f"{path}.").partition(".")[0] for setting in inside)
        if names:
            sections = {name: table[_kind_of(f"{path}.{name}", inside, table)]() for name in names}
            try:
                tree = with_at(tree, path, sections)
            except ValueError as error:
                raise UserError(f"{path}: {error} ({', '.join(dict.fromkeys(setting.where for setting in inside))})") from None
    return tree, spelled


def value_map(tree: Any, key: str) -> tuple[str, Any] | None:
    """For a key such as `prepare.targets.event_type`, the key of the field and the type of its values; None if no field
    of values by name is meant."""
    owner, place = tree, key.split(".")
    for depth, name in enumerate(place[:-1]):
        kind: type = type(owner)
        if name not in getattr(kind, "__dataclass_fields__", ()):
            return None
        held = _held(kind, name)
        if held is not None and not is_dataclass(held):
            return (".".join(place[: depth + 1]), held) if depth == len(place) - 2 else None
        owner = getattr(owner, name)
    return None


def entries(section: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of a section: a dataclass, or sections by name."""
    if isinstance(section, Mapping):
        yield from section.items()
    else:
        yield from ((name, getattr(section, name)) for name in section.__dataclass_fields__)


def has_entry(section: Any, name: str) -> bool:
    """Whether a section has an entry of that name."""
    return name in (section if isinstance(section, Mapping) else section.__dataclass_fields__)


def entry(section: Any, name: str) -> Any:
    """The entry of a section with that name."""
    return section[name] if isinstance(section, Mapping) else getattr(section, name)


def is_section(owner: Any, name: str, value: Any) -> bool:
    """Whether what `owner` calls `name` is a section: a dataclass, or a field of sections by name."""
    kind: type = type(owner)
    return is_dataclass(value) or (isinstance(value, Mapping) and is_dataclass(kind) and is_dataclass(_held(kind, name)))


@cache
def _held(owner: type, name: str) -> Any:
    """X of a field `Mapping[str, X]`; None for another field."""
    hint = get_type_hints(owner)[name]
    return get_args(hint)[1] if get_origin(hint) is Mapping else None


def _spelled_out(setting: Setting, path: str) -> Setting:
    name = setting.key.removeprefix(f"{path}.")
    short = name != setting.key and "." not in name and isinstance(setting.text, str)
    return replace(setting, key=f"{setting.key}.{KIND}") if short else setting


def _kind_of(key: str, inside: Sequence[Setting], table: Mapping[str, type]) -> str:
    naming = [setting for setting in inside if setting.key == f"{key}.{KIND}"]
    if not naming:
        first = next(setting for setting in inside if setting.key == key or setting.key.startswith(f"{key}."))
        raise UserError(f"{key!r} {first.where} has no kind; write {key}.{KIND}= and one of {', '.join(table)}")
    for setting in naming:
        if not isinstance(setting.text, str) or setting.text not in table:
            hint = nearest(str(setting.text), table)
            raise UserError(f"unknown {setting.key} {setting.text!r} {setting.where}{hint}; known: {', '.join(table)}")
    return str(naming[-1].text)
