"""Text -> settings. A setting is one dotted key, its value, and where it was written, so that every error message can point there.

Refused, with the line: bad syntax, duplicate keys (YAML would silently keep the last), aliases, and text with `${` or `???`, which
OmegaConf would read as an interpolation or a hole. An interpolation could copy an environment variable, and with it a secret, into
the run folder, so there are none at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ltrec.config.yaml_core import CoreLoader, plain_scalar, texts
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import refuse_special
from ltrec.core.storage.seal import text_is_broken

COMMAND_LINE = "on the command line"
_DOTTED = re.compile(r"[^\s.=]+(\.[^\s.=]+)*")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value from a file or an override.

    Attributes:
        key: full dotted key, `optim.lr`.
        value: None, bool, int, float, str, a list of these, or `{}` for a section without keys.
        text: the same with every scalar but null as it was written, for fields that hold text: 0.10 stays "0.10".
        where: `in conf/x.yaml:7` or `on the command line`.
    """

    key: str
    value: Any
    text: Any
    where: str


def read_file(path: Path, shown: str) -> list[Setting]:
    """The settings of one YAML file, in file order; `shown` is its name in messages.

    Raises:
        UserError: not readable as text, bad syntax, or a form that is refused (see the module's docstring).
    """
    refuse_special(path, shown)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{shown} is not UTF-8 text (byte {error.start}); is it a YAML file?") from None
    if text_is_broken(text):
        raise UserError(
            f"{shown} is damaged, or was changed since ltrec wrote it: its last line is not the digest of the others; restore it, "
            "or remove that line if the change is yours"
        )
    return list(_settings_of(text, shown))


@lru_cache(maxsize=64)
def _settings_of(text: str, shown: str) -> tuple[Setting, ...]:
    """A file's settings, parsed once: a sweep, a benchmark and the tests read the same few files over and over."""
    return tuple(_parse(text, "", shown, lambda node: f"in {shown}:{node.start_mark.line + 1}"))


def read_overrides(overrides: Sequence[str], where: str = COMMAND_LINE) -> list[Setting]:
    """The settings of `key=value` overrides, said to stand `where`; a value is YAML, so `optim.betas=[0.9, 0.98]` is a list.

    Raises:
        UserError: an override that is not `key=value`, or a value that is refused.
    """
    return [setting for override in overrides for setting in _read_override(override, where)]


def _read_override(override: str, where: str) -> Iterator[Setting]:
    key, equals, text = override.partition("=")
    if not equals or not _DOTTED.fullmatch(key):
        raise UserError(f"{override!r} {where} is not key=value, as in optim.lr=1e-3")
    text = text.strip() or text  # a blank or a tab alone is meant: it may be a separator
    if text.startswith(("[", "{", '"', "'")):
        yield from _parse(text, key, f"{key!r} {where}", lambda _: where)
    else:
        try:
            value = plain_scalar(text)
        except ValueError as error:  # an integer of thousands of digits
            raise UserError(f"{key!r} {where} is not a number: {error}") from None
        yield _literal(Setting(key, value, text if value is not None or not text else None, where))


def _parse(text: str, prefix: str, shown: str, where: Callable[[yaml.Node], str]) -> Iterator[Setting]:
    try:
        loader = CoreLoader(text)
        root = loader.get_single_node()
        if root is not None and (prefix or texts(root) is not None):
            yield from _settings(loader, root, prefix, where)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark and not prefix else ""
        raise UserError(f"{shown}{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{shown}: not valid YAML: {' '.join(str(error).split())}") from None


def _settings(loader: CoreLoader, node: yaml.Node, prefix: str, where: Callable[[yaml.Node], str]) -> Iterator[Setting]:
    if isinstance(node, yaml.MappingNode) and node.value:
        for key, child in _children(node, prefix, where):
            yield from _settings(loader, child, key, where)
    elif prefix:
        yield _literal(Setting(prefix, loader.construct_object(node, deep=True), texts(node), where(node)))
    elif not isinstance(node, yaml.MappingNode):
        raise UserError(f"no section {where(node)}: a config holds sections and keys, as in 'optim:' and beneath it '  lr: 0.001'")


def _children(node: yaml.MappingNode, prefix: str, where: Callable[[yaml.Node], str]) -> Iterator[tuple[str, yaml.Node]]:
    seen: dict[str, str] = {}
    for key_node, child in node.value:
        here, name = where(key_node), key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or not name:
            raise UserError(f"a key {here} is not a word")
        key = f"{prefix}.{name}" if prefix else name
        if "." in name:
            raise UserError(f"write key {key!r} {here} nested, one section per line; dotted keys are for the command line")
        if name in seen:
            raise UserError(f"duplicate key {key!r} {here}, first written {seen[name]}")
        seen[name] = here
        yield key, child


def _literal(setting: Setting) -> Setting:
    """The setting, unless it holds text that OmegaConf would not take literally."""
    for text in setting.text if isinstance(setting.text, list) else [setting.text]:
        if isinstance(text, str) and ("${" in text or text == "???"):
            raise UserError(
                f"{setting.key!r} {setting.where} is {text!r}: interpolations and environment variables are not read, so that no"
                " secret can end up in a run folder; write the value itself"
            )
    return setting
