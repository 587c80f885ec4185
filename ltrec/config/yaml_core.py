"""A YAML reader without surprises: the 1.2 core types, one document, safe tags, no aliases.

PyYAML reads YAML 1.1, where `no` is false, 010 is eight, 12:30 is 750 and 1e-3 is text. Here `no` and 12:30 are text, 010 is ten
and 1e-3 is a number. Aliases are refused: they would make a config a program, and a small file an exponentially large one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

_SPECIAL = {"inf": float("inf"), "nan": float("nan")}


class CoreLoader(yaml.SafeLoader):
    """SafeLoader with the core types (added below) and without aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's own protocol: a table on the class, empty to begin with

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Like SafeLoader, but an alias is an error."""
        if self.check_event(yaml.AliasEvent):
            mark: Any = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not supported, write the value itself", mark)
        return super().compose_node(parent, index)


def plain_scalar(text: str) -> Any:
    """An unquoted scalar, whatever punctuation it holds: null, bool, int, float, else the text itself."""
    loader = CoreLoader("")
    tag: str = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return loader.construct_object(yaml.ScalarNode(tag, text))


def texts(node: yaml.Node) -> Any:
    """The node with every scalar as its text (null as None): what a text field takes, so that 0.10 stays "0.10"."""
    if isinstance(node, yaml.SequenceNode):
        return [texts(child) for child in node.value]
    if isinstance(node, yaml.MappingNode):
        return {}
    return None if node.tag == "tag:yaml.org,2002:null" else node.value


def _add(kind: str, pattern: str, construct: Callable[[str], Any]) -> None:
    def build(loader: CoreLoader, node: yaml.ScalarNode) -> Any:
        return construct(str(loader.construct_scalar(node)))

    tag = f"tag:yaml.org,2002:{kind}"
    CoreLoader.add_implicit_resolver(tag, re.compile(f"^(?:{pattern})$"), None)
    CoreLoader.add_constructor(tag, build)


def _float(text: str) -> float:
    word = text.lstrip("+-.").lower()
    magnitude = _SPECIAL[word] if word in _SPECIAL else float(text.lstrip("+-"))
    return -magnitude if text.startswith("-") else magnitude


_add("null", "~|null|Null|NULL|", lambda _: None)
_add("bool", "true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true")
_add("int", "[-+]?[0-9]+(?:_[0-9]+)*", int)
_add("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", _float)
