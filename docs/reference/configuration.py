"""The page of all settings: a section of the config is a section of the page, its variants below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from docs.reference.fields import default_of, meanings_of, rows_of
from docs.reference.markdown import cell, first_paragraph, table
from ltrec.config.tree import RunConfig, column_kinds, variants

HEAD = """\
# Configuration

Every setting of a run, from the code. Defaults come first, then YAML files from left to right, then `key=value` overrides, where
`stream.batch_rows=256` is the key `batch_rows` of the section `stream`. `ltrec train CONF... --print-config` shows what a run
would get.
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, "## The run", "", settings(RunConfig, ""), *sections(RunConfig, "", {})])


def sections(config: type, path: str, told: dict[str, set[type]]) -> Iterator[str]:
    """The sections below a dataclass, each with what is below it.

    Args:
        config: the dataclass.
        path: where it is in the config.
        told: section of variants -> their dataclasses, of those that the page has by now; the same table is not shown twice.
    """
    meanings = meanings_of(config)
    for field in fields(config):
        default = default_of(field)
        if (named := f"{path}.{field.name}") in column_kinds():
            yield from by_name(named, column_kinds()[named], told)
        if not is_dataclass(default):
            continue
        here = f"{path}.{field.name}" if path else field.name
        level = "#" * min(2 + here.count("."), 4)
        yield f"{level} `{here}`\n\n{meanings.get(field.name, '')}\n"
        table_of, name = variants().get(here), str(getattr(default, "name", ""))
        if table_of is None:
            yield settings(type(default), here)
            yield from sections(type(default), here, told)
            continue
        known = next((section for section, configs in told.items() if configs >= set(table_of.values())), None)
        if known is not None:
            yield f"`{here}.name`, `{name}` by default, chooses among {', '.join(table_of)}, as `{known}.name` does.\n"
            continue
        told[here] = set(table_of.values())
        yield from chosen(here, table_of, name, told)


def chosen(path: str, table_of: Mapping[str, type], default: str, told: dict[str, set[type]]) -> Iterator[str]:
    """The variants of a section: what each is, and its settings."""
    rows = [(f"`{name}`" + (" (default)" if name == default else ""), first_paragraph(config)) for name, config in table_of.items()]
    yield table((f"`{path}.name`", "what it is"), rows)
    for name, config in table_of.items():
        if len(fields(config)) > 1:
            yield f"#### `{path}.name={name}`\n"
            yield settings(config, path, variant=True)
        yield from sections(config, path, told)


def by_name(path: str, kinds: Mapping[str, type], told: dict[str, set[type]]) -> Iterator[str]:
    """Sections by names of the user's own, each of a kind."""
    known = next((other for other, configs in told.items() if configs >= set(kinds.values())), None)
    yield f"#### `{path}.NAME`\n"
    if known is not None:
        yield f"As `{known}.NAME`.\n"
        return
    told[path] = set(kinds.values())
    yield "`NAME: KIND` is short for `NAME: {kind: KIND}`.\n"
    yield table((f"`{path}.NAME.kind`", "what it is"), [(f"`{name}`", meanings_of(kind)["kind"]) for name, kind in kinds.items()])
    for name, kind in kinds.items():
        yield f"`kind: {name}`\n"
        yield settings(kind, f"{path}.NAME", variant=True)


def settings(config: type, path: str, *, variant: bool = False) -> str:
    """The table of a dataclass's own settings; the name of a variant is what chose it."""
    prefix = f"{path}." if path else ""
    rows = [
        (f"`{prefix}{row.name}`", row.kind, f"`{row.default}`", row.meaning)
        for row in rows_of(config)
        if not (variant and row.name in ("name", "kind"))
    ]
    return table(("setting", "value", "default", "meaning"), [tuple(map(cell, row)) for row in rows]) if rows else ""
