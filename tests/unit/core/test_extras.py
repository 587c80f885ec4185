"""An extra that is missing is one line that says how to get it."""

import pytest

from ltrec.core.errors import UserError
from ltrec.core.extension import extras


def test_what_is_installed_is_not_missing_and_needs_no_word():
    assert extras.missing("report") == []
    extras.require("report", "the report")


def test_what_is_missing_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "gram", ("torch", "no_such_library", "nor_this"))
    assert extras.missing("gram") == ["no_such_library", "nor_this"]
    with pytest.raises(UserError, match=r"^rule x needs no_such_library, nor_this: pip install 'ltrec\[gram\]'$"):
        extras.require("gram", "rule x")


def test_the_version_of_what_is_there_and_of_what_is_not():
    assert extras.version_of("pyarrow")[0].isdigit()
    assert extras.version_of("no-such-distribution") == "not installed"
