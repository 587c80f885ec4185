"""Settings + defaults -> dataclasses, strictly.

The defaults are an *instance*: a tree of frozen dataclasses whose sections are already of the chosen variants. Every setting must
find its field there; what does not is answered with the nearest key. Sections are rebuilt from the leaves up, so that each
dataclass's own `__post_init__` checks the final values, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from ltrec.config.convert import convert, convert_to
from ltrec.config.entries import entries, entry, has_entry, is_section, value_map, with_entries
from ltrec.config.keys.former import refuse_former
from ltrec.config.keys.synonyms import synonym
from ltrec.config.source import Setting
from ltrec.config.variants import Tables, choose, spelled_out
from ltrec.core.errors import UserError, nearest

T = TypeVar("T")


def resolve(defaults: T, settings: Sequence[Setting], tables: Tables, kinds: Tables | None = None) -> T:
    """Choose the variants, then settle: what `load` does, for any tree of dataclasses.

    Args:
        defaults: the tree.
        settings: in the order in which they win.
        tables: of sections that come in variants.
        kinds: of fields that hold sections by name.
    """
    refuse_former(settings)
    defaults, settings = with_entries(defaults, spelled_out(settings, tables), kinds or {})
    return settle(choose(defaults, settings, tables), settings)


def settle(defaults: T, settings: Sequence[Setting]) -> T:
    """`defaults` with every setting applied, later ones over earlier ones.

    Raises:
        UserError: unknown key, wrong type, a section used as a value, or a combination that a dataclass refuses.
    """
    changes: dict[str, Any] = {}
    places: dict[str, list[str]] = {}
    for setting in settings:
        section, _, name = setting.key.rpartition(".")
        owner = _section(defaults, section)
        if (by_name := value_map(defaults, setting.key)) is not None:
            section, value_type = by_name
            changes[section] = {**changes.get(section, {}), name: convert_to(value_type, setting)}
        elif owner is None or not has_entry(owner, name):
            raise UserError(_unknown(defaults, setting))
        elif is_section(owner, name, value := entry(owner, name)):
            _refuse_value(value, setting)
        else:
            changes[setting.key] = convert(type(owner), name, setting)
            places.setdefault(section, []).append(setting.where)
    return cast(T, _rebuild(defaults, "", changes, places))


def leaf_keys(tree: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key that can be set."""
    for name, value in entries(tree):
        if is_section(tree, name, value) and _names(value):
            yield from leaf_keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _names(section: Any) -> dict[str, Any]:
    return dict(entries(section))


def _section(tree: Any, path: str) -> Any:
    """The section at a dotted path, or None."""
    for name in path.split(".") if path else []:
        if not has_entry(tree, name) or not is_section(tree, name, entry(tree, name)):
            return None
        tree = entry(tree, name)
    return tree


def _refuse_value(section: Any, setting: Setting) -> None:
    """A section may be written empty (`optim:`), but is not a value."""
    if setting.value not in (None, {}):
        keys = [f"{setting.key}.{name}" for name in _names(section)] or ["names of your own"]
        hint = f"write {setting.key}.name={setting.value}" if "name" in _names(section) else f"its keys are {', '.join(keys)}"
        raise UserError(f"{setting.key!r} {setting.where} is a section, not a value ({setting.value!r}); {hint}")


def _unknown(defaults: Any, setting: Setting) -> str:
    """The key that is meant: by what it is called elsewhere (`learning_rate` -> `optim.lr`), else the nearest among its siblings,
    by its last word (`lr` -> `optim.lr`), or among all keys."""
    known = list(leaf_keys(defaults))
    if (meant := synonym(setting.key, known)) is not None:
        return f"unknown key {setting.key!r} {setting.where} (it is {meant!r} here)"
    for end in range(setting.key.count("."), 0, -1):
        inner = ".".join(setting.key.split(".")[:end])
        if inner in known:
            return f"{inner!r} {setting.where} is a value, not a section; there is no key {setting.key!r}"
    section, _, word = setting.key.rpartition(".")
    siblings = _section(defaults, section)
    by_word = {key.rpartition(".")[2]: key for key in known}
    hint = nearest(setting.key, [f"{section}.{name}" if section else name for name in _names(siblings)]) if siblings else ""
    if not hint and word in by_word:
        hint = f" (did you mean {by_word[word]!r}?)"
    return f"unknown key {setting.key!r} {setting.where}{hint or nearest(setting.key, known)}"


def _rebuild(tree: Any, prefix: str, changes: dict[str, Any], places: dict[str, list[str]]) -> Any:
    """The same tree with `changes` in place; untouched sections stay as they are."""
    new: dict[str, Any] = {}
    for name, value in entries(tree):
        key = prefix + name
        if key in changes:
            new[name] = changes[key]
        elif is_section(tree, name, value):
            new[name] = _rebuild(value, f"{key}.", changes, places)
    if isinstance(tree, Mapping):
        return new
    section = prefix.rstrip(".")
    try:
        return replace(tree, **new)
    except ValueError as error:
        written = ", ".join(dict.fromkeys(places.get(section, [])))
        raise UserError(f"{section or 'config'}: {error}" + (f" ({written})" if written else "")) from None
