"""A config as YAML: every setting, defaults included, so that it means the same after a default has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from ltrec.core.errors import UserError

_NEXT_LINE = "\x85"


class _Escaping(yaml.SafeDumper):
    """Texts within double quotes, with escapes: PyYAML loses U+0085 in any other kind of text."""


_Escaping.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def dump(config: Any) -> str:
    """The whole tree of dataclasses as YAML that `load` reads back to an equal tree.

    Raises:
        UserError: a text that no config file may hold (`${...}`, `???`).
    """
    plain = _plain(config, "")
    written = OmegaConf.to_yaml(OmegaConf.create(plain))
    return written if _NEXT_LINE not in written else yaml.dump(plain, Dumper=_Escaping, sort_keys=False)


def _plain(value: Any, key: str) -> Any:
    """Dataclasses -> dicts, tuples -> lists, paths -> text."""
    if is_dataclass(value):
        names = sorted((f.name for f in fields(value)), key=lambda name: name != "name")  # what a variant is called comes first
        return {name: _plain(getattr(value, name), f"{key}.{name}".lstrip(".")) for name in names}
    if isinstance(value, tuple | list):
        return [_plain(element, key) for element in value]
    if isinstance(value, Mapping):
        return {word: _plain(element, key) for word, element in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and ("${" in value or value == "???"):
        raise UserError(f"{key!r} is {value!r}, which a config file cannot hold")
    return value
