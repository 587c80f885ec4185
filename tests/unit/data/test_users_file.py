"""The file of users to forget, and texts that mention one of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ltrec.core.errors import UserError
from ltrec.data.forget.users import Mentions, read_users


@pytest.mark.parametrize(
    ("content_", "message"),
    [
        (None, "not found: name a file with the raw id of a user per line"),
        (b"", "names nobody"),
        (b"\n\r\n", "names nobody"),
        (b"u1\n\xff\n", "is not UTF-8 text"),
        (b"u1\nPAR\x001\n", "line 2 is not the id of a user"),
    ],
)
def test_a_bad_file_of_users_is_one_clear_line(tmp_path, content_, message):
    path = tmp_path / "gone.txt"
    if content_ is not None:
        path.write_bytes(content_)
    with pytest.raises(UserError, match=message) as caught:
        read_users(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="a folder"):
        read_users(tmp_path)


def test_ids_are_lines_each_once(tmp_path):
    (tmp_path / "gone.txt").write_bytes("\ufeffu1\r\nu 2\n\nu1\nü".encode())
    assert read_users(tmp_path / "gone.txt").to_pylist() == ["u1", "u 2", "ü"]


def test_an_id_is_mentioned_as_a_word_of_its_own():
    mentions = Mentions(pa.array(["5", "a,b"]))
    assert mentions.any(["x,5,y"]) and mentions.any(['{"user": "5"}']) and mentions.any(["z a,b z"])
    assert not mentions.any(["x,55,y", "", None, "5a"])
