"""The two layouts of given histories, distinguished by the item column: one id per row, or a list.

    events   user_id, item_id, timestamp, [columns]       a row per event; the rows of a user stand together
    users    user_id, items, [timestamps], [columns]      a row per user, lists oldest first; [candidates]: what may be recommended

Columns are called as in the log that was prepared, or as above. A column of events or users that the model was trained with must be
there (null is a missing value); others are ignored. With times, a user's events are put in their order; without, they are in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

from ltrec.columns.schema import Projection
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.readers.ids import id_text

CANDIDATES = "candidates"
_OF_SHARDS = {c.USER_KEY, c.TRAIN_EVENTS}


@dataclass(frozen=True, slots=True)
class Form:
    """The columns of the files by meaning.

    Attributes:
        lists: whether a row is a user with lists; else it is an event.
        user, item: columns of ids.
        time: column of times, if there is one.
        events, users: column of the data set -> column of the files.
        candidates: column of candidates, if there is one.
    """

    lists: bool
    user: str
    item: str
    time: str | None
    events: Mapping[str, str]
    users: Mapping[str, str]
    candidates: str | None = None

    @property
    def columns(self) -> list[str]:
        """All columns to read, without repeats."""
        named = [self.user, self.item, self.time, *self.events.values(), *self.users.values(), self.candidates]
        return [*dict.fromkeys(name for name in named if name is not None)]


def form_of(schema: pa.Schema, manifest: Manifest, asked: Projection, what: str) -> Form:
    """Find the columns.

    Args:
        schema: of the files.
        manifest: of the data set that the model was trained on.
        asked: columns of events and users that the model uses.
        what: the files, for messages.

    Raises:
        UserError: a column is missing, occurs twice, or has an unfit type.
    """
    if {*schema.names} >= _OF_SHARDS:
        raise UserError(f"{what} is of a prepared data set, whose items are not raw ids; without --input its users are served")
    log = manifest.source.get("columns", {})
    user = _required(schema, (log.get("user"), c.USER_ID), "the users", what)
    item = _required(schema, (log.get("item"), c.ITEM_ID, c.ITEMS), "the items", what)
    lists = is_list(schema.field(item).type)
    time = _find(schema, (log.get("time"), "timestamp", "timestamps", c.TIME, c.TIMES), what)
    if time is None and c.TIME in asked.events:
        raise UserError(f"{what} has no column of times, which the model was trained with: name it {log.get('time', 'timestamp')}")
    form = Form(
        lists,
        user,
        item,
        time,
        {name: _column(schema, manifest, "event", name, what) for name in asked.events if name != c.TIME},
        {name: _column(schema, manifest, "user", name, what) for name in asked.users},
        CANDIDATES if CANDIDATES in schema.names else None,
    )
    _check_types(schema, form, what)
    return form


def is_list(kind: pa.DataType) -> bool:
    """Whether values of a type are lists."""
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _column(schema: pa.Schema, manifest: Manifest, role: str, name: str, what: str) -> str:
    """The column of the files for a column of the data set: by its name in the log, or its own."""
    declared = (
        manifest.options.get("event_columns", {}) if role == "event" else manifest.options.get("users", {}).get("columns", {})
    )
    source = declared.get(name, {}).get("column") or name
    return _required(schema, (f"{role}.{name}", source, name), f"the {role} column {name!r}", what)


def _required(schema: pa.Schema, names: Sequence[str | None], holds: str, what: str) -> str:
    if (found := _find(schema, names, what)) is not None:
        return found
    known = ", ".join(schema.names[:20]) + (", ..." if len(schema.names) > 20 else "")
    wanted = " or ".join(dict.fromkeys(repr(name) for name in names if name))
    raise UserError(f"{what} has no column with {holds}: name it {wanted}; it has {known or 'no columns'}")


def _find(schema: pa.Schema, names: Sequence[str | None], what: str) -> str | None:
    for name in filter(None, names):
        if (count := schema.names.count(name)) > 1:
            raise UserError(f"{what} has {count} columns called {name!r}")
        if count:
            return name
    return None


def _check_types(schema: pa.Schema, form: Form, what: str) -> None:
    kinds = {name: schema.field(name).type for name in form.columns}
    if is_list(kinds[form.user]):
        raise UserError(f"{what}: the column {form.user!r} has type {kinds[form.user]}; a row is of one user")
    for name in filter(None, (form.time, *form.events.values())):
        if is_list(kinds[name]) != form.lists:
            shape = "lists, as its items are" if form.lists else "one value, as its item is"
            raise UserError(f"{what}: the column {name!r} has type {kinds[name]}; it must hold {shape}")
    if form.candidates and not form.lists:
        raise UserError(f"{what}: {CANDIDATES!r} are a user's, not an event's; give a row per user with lists of items")
    if form.candidates and not is_list(kinds[CANDIDATES]):
        raise UserError(f"{what}: the column {CANDIDATES!r} has type {kinds[CANDIDATES]}; it must hold lists of items")
    for name in filter(None, (form.user, form.item, form.candidates)):
        id_text(pa.array([], element_type(kinds[name])), f"{what}: the column {name!r}")


def element_type(kind: pa.DataType) -> pa.DataType:
    """Type of a value, without list and dictionary types."""
    kind = kind.value_type if is_list(kind) else kind
    return kind.value_type if types.is_dictionary(kind) else kind
