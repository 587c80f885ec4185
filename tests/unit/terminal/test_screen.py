"""What a screen prints where, and what never reaches the terminal."""

import io
import json
import logging

import pytest
from rich.table import Table

from ltrec.terminal.console import is_live, new_console, visible
from ltrec.terminal.screen import Screen, note, open_screen, say, shortened, wrapped

NAMES = ["[/x]", ":smile:", "[bold red]a", "\x1b[31mred", "a\x07b", "\u202eabc", "日本"]


def table_of(*cells: str) -> Table:
    table = Table(*map(str, range(len(cells))))
    table.add_row(*cells)
    return table


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_as_they_are(name, capsys):
    say(f"run {name}")
    Screen().show(lambda without: table_of(name))
    out = capsys.readouterr().out
    assert out.count(visible(name)) == 2
    assert "\x1b" not in out and "\x07" not in out and "\u202e" not in out


def test_lines_go_to_stdout_and_notes_to_stderr(capsys):
    say("a line")
    note("a note")
    found = capsys.readouterr()
    assert (found.out, found.err) == ("a line\n", "a note\n")


def test_for_scripts_stdout_is_one_line_of_json(capsys):
    with open_screen(for_scripts=True) as screen:
        say("a line")
        note("a note")
        screen.print_json({"name": "[/x]\n\u2028"})
    found = capsys.readouterr()
    assert found.err == "a line\na note\n"
    assert found.out.count("\n") == 1 and json.loads(found.out) == {"name": "[/x]\n\u2028"}
    say("afterwards")
    assert capsys.readouterr().out == "afterwards\n"


def test_without_json_nothing_is_printed_for_scripts(capsys):
    with open_screen() as screen:
        screen.print_json({"a": 1})
    assert capsys.readouterr().out == ""


def test_no_rows_are_drawn_in_a_pipe(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert not is_live(new_console())
    with open_screen() as screen, screen.footer(lambda width: ["a row"]):
        say("a line")
        logging.getLogger("ltrec.test").warning("of a logger")
    assert "a row" not in capsys.readouterr().out


def test_lines_wrap_between_words_only():
    path = "/a/" + "very-long/" * 12
    assert wrapped(f"saved in {path}: go on", 40) == f"saved in\n{path}:\ngo on"
    assert wrapped("one\n\ntwo", 40) == "one\n\ntwo"


def test_unprintable_characters_are_escaped():
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    console = new_console()
    console.file = raw
    console.print("é\x1b")
    raw.flush()
    assert raw.buffer.getvalue() == b"\\xe9\\x1b\n"


@pytest.mark.parametrize(("width", "columns"), [(80, 3), (60, 2), (20, 1)])
def test_a_table_drops_columns_rather_than_cut_numbers(width, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    cells = ["1" * 10, "2" * 30, "3" * 20]
    Screen().show(lambda without: table_of(*cells[: 3 - len(without)]), ["third", "second"])
    out = capsys.readouterr().out
    assert [cell in out for cell in cells] == [n < columns for n in range(3)]
    assert max(map(len, out.splitlines())) <= width


def test_long_names_lose_their_middle():
    assert shortened("a-run", 12) == "a-run"
    assert shortened("sasrec-joint-seed-0-music", 12) == "sasr...music"
