"""Sections and values by names of the user's own: the short form, several files, and what every mistake is answered with."""

from pathlib import Path

import pytest
from sample_tree import KINDS, TABLES, Amount, Tree, Word

from ltrec.config.load import load
from ltrec.config.settle import leaf_keys, resolve
from ltrec.config.source import read_file, read_overrides
from ltrec.core.errors import UserError


def data_of(tmp_path: Path, text: str = "", *words: str):
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    return resolve(Tree(), [*read_file(tmp_path / "a.yaml", "a.yaml"), *read_overrides(words)], TABLES, KINDS).data


@pytest.mark.parametrize(
    ("text", "words", "columns"),
    [
        ("data: {columns: {}}", (), {}),
        ("data: {columns: {kind: word, price: {kind: amount, log: true}}}", (), {"kind": Word(), "price": Amount(log=True)}),
        ("data: {columns: {price: word}}", ("data.columns.price=amount",), {"price": Amount()}),
        (
            "data: {columns: {a: word}}",
            ("data.columns.a.least=3", "data.columns.b={kind: amount}"),
            {"a": Word(least=3), "b": Amount()},
        ),
        ("", ("data.columns={a: word}",), {"a": Word()}),
    ],
)
def test_sections_have_names_of_the_users_own(tmp_path, text, words, columns):
    assert data_of(tmp_path, text, *words).columns == columns


def test_values_by_name_add_up(tmp_path):
    text = "data: {only: {event: [view, 1.0], day: []}}"
    assert data_of(tmp_path, text, "data.only.event=[buy]").only == {"event": ("buy",), "day": ()}
    assert data_of(tmp_path, text, "data.only={}").only == {}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.columns.a.least=3", "'data.columns.a' on the command line has no kind; write data.columns.a.kind= and one of word"),
        ("data.columns.a=wor", "unknown data.columns.a.kind 'wor' on the command line (did you mean 'word'?); known: word"),
        ("data.columns.a=[word]", "'data.columns.a' on the command line has no kind"),
        ("data.columns={a: {kind: word, log: true}}", "unknown key 'data.columns.a.log' on the command line (did you mean"),
        ("data.columns={a: {kind: word, least: 0}}", "data.columns.a: least must be positive; got 0 (on the command line)"),
        ("data.columns={a: {kind: word, least: x}}", "'data.columns.a.least' on the command line must be int; got 'x'"),
        ("data.columns=word", "'data.columns' on the command line is a section, not a value ('word')"),
        ("data.only=[a]", "'data.only' on the command line must be a list of text by name; got ['a']"),
        ("data.only.a=b", "'data.only.a' on the command line must be a list of text; got 'b'"),
        ("data.only.a.b=[c]", "'data.only' on the command line is a value, not a section"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path, word, message):
    with pytest.raises(UserError) as caught:
        data_of(tmp_path, "", word)
    assert str(caught.value).startswith(message)


def test_names_in_use_can_be_set(tmp_path):
    data = data_of(tmp_path, "data: {columns: {a: word}}")
    assert {"columns.a.kind", "columns.a.least", "only"} <= set(leaf_keys(data))


def test_columns_are_declared_in_prepare():
    prepare = load(
        [], ["prepare.event_columns={price: {kind: number, log: true}}", "prepare.items.columns.genres=categories"]
    ).prepare
    assert prepare.event_columns["price"].log and prepare.items.columns["genres"].separator == "|"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("prepare.event_columns={price-eur: number}", "prepare.event_columns: 'price-eur' is not a valid column name"),
        ("prepare.event_columns.time=number", "prepare.event_columns: 'time' is a reserved name for event columns"),
        ("prepare.items.columns={item_id: category}", "prepare.items.columns: 'item_id' is a reserved name for item columns"),
    ],
)
def test_names_that_columns_cannot_have_are_one_line(word, message):
    with pytest.raises(UserError, match=rf"^{message}.* \(on the command line\)$"):
        load([], [word])
