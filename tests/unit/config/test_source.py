"""Reading YAML files and key=value words: what they mean, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.config.source import Setting, read_file, read_overrides
from ltrec.config.yaml_core import plain_scalar
from ltrec.core.errors import UserError


def read(tmp_path: Path, text: str | bytes) -> list[Setting]:
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_file(path, "conf/x.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("10", 10),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("1_000_000", 1_000_000),
        ("1__0", "1__0"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("1e-3", 1e-3),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5E+2", -150.0),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("inf", "inf"),
        ("2014-07-01", "2014-07-01"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_core_scalars(text: str, value: Any) -> None:
    got = plain_scalar(text)
    assert got == value
    assert type(got) is type(value)


def test_nan_is_a_float() -> None:
    assert plain_scalar(".nan") != plain_scalar(".nan")


def test_settings_know_their_line_and_their_text(tmp_path: Path) -> None:
    assert read(tmp_path, "# run it\nseed: 1\noptim:\n\n  lr: 0.10\n  betas: [.9, 1.0]\ndata:\n") == [
        Setting("seed", 1, "1", "in conf/x.yaml:2"),
        Setting("optim.lr", 0.1, "0.10", "in conf/x.yaml:5"),
        Setting("optim.betas", [0.9, 1.0], [".9", "1.0"], "in conf/x.yaml:6"),
        Setting("data", None, None, "in conf/x.yaml:7"),
    ]


@pytest.mark.parametrize("text", ["", "\n", "# words\n", "---\n", "---\n...\n", "{}", "null"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim:\n  lr: 1\n  lr: 2\n", r"duplicate key 'optim\.lr' in conf/x\.yaml:3, first written in conf/x\.yaml:2"),
        ("seed: 1\noptim: {}\nseed: 2\n", r"duplicate key 'seed' in conf/x\.yaml:3, first written in conf/x\.yaml:1"),
        ("a: 1\n b: 2\n", r"conf/x\.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: [1, 2\n", r"conf/x\.yaml:2: not valid YAML: expected ',' or '\]'"),
        ("a: 1\n\tb: 2\n", r"conf/x\.yaml:\d: not valid YAML"),
        ("a: 'x\n", r"conf/x\.yaml:\d: not valid YAML: found unexpected end of stream"),
        ("a: &x 1\nb: *x\n", r"conf/x\.yaml:2: not valid YAML: aliases \(\*name\) are not supported"),
        ("a: &x {b: *x}\n", r"conf/x\.yaml:1: not valid YAML: aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", r"conf/x\.yaml:1: not valid YAML: could not determine a constructor"),
        ("a: !!int x\n", r"conf/x\.yaml: not valid YAML: invalid literal for int"),
        ("a: 1\n---\nb: 2\n", r"conf/x\.yaml:2: not valid YAML: but found another document"),
        ("- a\n- b\n", r"no section in conf/x\.yaml:1: a config holds sections and keys"),
        ("just words\n", r"no section in conf/x\.yaml:1: a config holds sections and keys"),
        ("optim.lr: 1\n", r"write key 'optim\.lr' in conf/x\.yaml:1 nested"),
        ("[a, b]: 1\n", r"a key in conf/x\.yaml:1 is not a word"),
        ("a: " + "[" * 5000, r"conf/x\.yaml: not valid YAML"),
        ("a: \x07\n", r"conf/x\.yaml: not valid YAML: unacceptable character"),
        (b"a: \xff\n", r"conf/x\.yaml is not UTF-8 text \(byte 3\)"),
        ("a: ${oc.env:AWS_SECRET_ACCESS_KEY}\n", r"'a' in conf/x\.yaml:1 is .* environment variables are not read"),
        ("a: [x, '${b}']\n", r"'a' in conf/x\.yaml:1 is '\$\{b\}': interpolations"),
        ("a: '???'\n", r"'a' in conf/x\.yaml:1 is '\?\?\?': interpolations"),
    ],
)
def test_bad_text_is_told_with_file_and_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(UserError, match="^" + expected) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="conf is a folder, not a file"):
        read_file(tmp_path, "conf")


@pytest.mark.parametrize("word", ["optim", "=3", "a..b=3", ".a=3", "a b=3", "", "a.=1"])
def test_a_word_that_is_not_key_value(word: str) -> None:
    with pytest.raises(UserError, match=r"on the command line is not key=value, as in optim\.lr=1e-3"):
        read_overrides([word])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a=[1, 2", "'a' on the command line: not valid YAML: expected"),
        ("a='x", "'a' on the command line: not valid YAML"),
        ("a={b: 1, b: 2}", r"duplicate key 'a\.b' on the command line"),
        ("a=${HOME}", "'a' on the command line is .* interpolations"),
        ("a=" + "9" * 5000, "'a' on the command line is not a number: Exceeds the limit"),
        ("a=[1] x", "'a' on the command line: not valid YAML"),
    ],
)
def test_a_bad_value_is_told_with_its_key(word: str, expected: str) -> None:
    with pytest.raises(UserError, match="^" + expected):
        read_overrides([word])


def test_words_hold_lists_mappings_quotes_and_plain_text() -> None:
    got = [
        (s.key, s.value)
        for s in read_overrides(["a=[1, x]", "b={c: 1, d: {e: no}}", "f='1'", "g=a=b: [c] # d", "h= 3 ", "i=*x", "j={}"])
    ]
    assert got == [
        ("a", [1, "x"]),
        ("b.c", 1),
        ("b.d.e", "no"),
        ("f", "1"),
        ("g", "a=b: [c] # d"),
        ("h", 3),
        ("i", "*x"),
        ("j", {}),
    ]


@settings(max_examples=200)
@given(text=st.text(alphabet=st.sampled_from(list("ab:-[]{}'\"#&*!|>%@\n\t ,?.$10~<=")), max_size=40))
def test_any_text_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(text, encoding="utf-8")
    for reader in (lambda: read_file(path, "fuzz.yaml"), lambda: read_overrides([f"a={text}"])):
        try:
            reader()
        except UserError as error:
            assert "\n" not in str(error)
