"""MovieLens-100K: both mirrors' file forms give one table, in file order; offline the error helps. No network, no real data."""

import dataclasses
import hashlib
import sys
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.user_cache import user_cache
from ltrec.data import fetch as fetching
from ltrec.data.fetch.events import EVENT_SCHEMA, table_digest
from ltrec.data.fetch.mirrors import HttpArchive, Member
from ltrec.data.fetch.movielens import ML_100K, read_log, read_ratings
from ltrec.data.fetch.movielens_tables import read_films, read_users

U_DATA = b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n007\t9\t1\t881250949\n196\t1\t5\t881250949\n"
INTER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + U_DATA
ROWS = [("196", "242", 881250949), ("186", "302", 891717742), ("007", "9", 881250949), ("196", "1", 881250949)]

U_ITEM = (
    "1|Toy Story (1995)|01-Jan-1995||http://x/T?Toy%20Story%20(1995)|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "543|Misérables, Les (1995)|01-Jan-1995||http://x|0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0\n"
    "1252|Contempt (Mépris, Le) (1963)|27-Jun-1997||http://x|0|0|0|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0\n"
    "1412|Land Before Time III: The Time of the Great Giving (1995) (V)|01-Jan-1995||x|0|0|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
).encode("latin-1")
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tToy Story\t1995\tAnimation Children's Comedy\n"
    "267\tunkonwn\tunkonwn\tunknown\n"
    "543\tMisérables, Les\t1995\tDrama Musical\n"
    "1252\tContempt (Mépris, Le)\t1963\tDrama\n"
    "1412\tLand Before Time III: The Time of the Great Giving (1995)\tV\tAnimation Children's\n"
).encode()
FILMS = [
    ("1", "Toy Story", ["Animation", "Children's", "Comedy"], 1995),
    ("267", "unknown", ["unknown"], None),
    ("543", "Misérables, Les", ["Drama", "Musical"], 1995),
    ("1252", "Contempt (Mépris, Le)", ["Drama"], 1963),
    ("1412", "Land Before Time III: The Time of the Great Giving", ["Animation", "Children's"], 1995),
]
U_USER = b"1|24|M|technician|85711\n2|53|F|other|T8H1N\n"
USER = b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n" + U_USER.replace(b"|", b"\t")
IN_ARCHIVE = {"ml-100k/u.data": U_DATA, "ml-100k/u.item": U_ITEM, "ml-100k/u.user": U_USER}


def rows(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def test_rows_keep_the_order_of_the_file_and_ids_stay_strings():
    table = read_ratings(U_DATA, "ml-100k/u.data")
    assert table.schema == EVENT_SCHEMA
    assert rows(table) == ROWS


def test_both_mirrors_give_one_table():
    assert read_ratings(INTER, "x/ml-100k.inter").equals(read_ratings(U_DATA, "ml-100k/u.data"))


def test_both_mirrors_know_the_same_of_films_and_users():
    """Also of the two films that the wheel has spoiled."""
    films = read_films(U_ITEM, "ml-100k/u.item")
    assert rows(films) == FILMS
    assert films.equals(read_films(ITEM, "x/ml-100k.item"))
    users = read_users(U_USER, "ml-100k/u.user")
    assert rows(users) == [("1", 24, "M", "technician", "85711"), ("2", 53, "F", "other", "T8H1N")]
    assert users.equals(read_users(USER, "x/ml-100k.user"))


def test_order_decides_the_digest():
    table = read_ratings(U_DATA, "u.data")
    assert table_digest(table) == hashlib.sha256("".join(f"{u}\t{i}\t{t}\n" for u, i, t in ROWS).encode()).hexdigest()
    assert table_digest(table) != table_digest(table.take(pa.array([0, 1, 3, 2])))


def test_the_wheel_holds_the_archive_file_behind_one_header_line():
    """What the docstring claims of the two pins: their sizes differ by exactly the header. So do those of the users."""
    archive, wheel = (mirror.members for mirror in ML_100K.mirrors)
    assert wheel[0].bytes - archive[0].bytes == len(INTER) - len(U_DATA)
    assert wheel[2].bytes - archive[2].bytes == len(USER) - len(U_USER)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A data set of four events under the name ml-100k, with a file:// mirror that can be taken away."""
    with zipfile.ZipFile(tmp_path / "ml-100k.zip", "w") as z:
        for path, content in IN_ARCHIVE.items():
            z.writestr(path, content)
    members = (Member(path, len(content), hashlib.sha256(content).hexdigest()) for path, content in IN_ARCHIVE.items())
    mirror = HttpArchive((tmp_path / "ml-100k.zip").as_uri(), tuple(members))
    digests = {name: table_digest(table) for name, table in read_log(IN_ARCHIVE).items()}
    tiny = dataclasses.replace(ML_100K, mirrors=(mirror,), sha256=digests)
    monkeypatch.setitem(fetching.DATASETS, "ml-100k", tiny)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tiny


def test_fetch_writes_events_and_notice_then_works_offline(tiny, tmp_path):
    path = fetching.fetch("ml-100k", tmp_path / "out")
    assert path == tmp_path / "out" / "events.parquet"
    assert pq.read_schema(path).equals(EVENT_SCHEMA)
    assert rows(pq.read_table(path)) == ROWS
    assert rows(pq.read_table(path.parent / "items.parquet")) == FILMS
    assert pq.read_table(path.parent / "users.parquet").num_rows == 2
    assert "redistribute" in (tmp_path / "out" / "NOTICE.txt").read_text()
    (tmp_path / "ml-100k.zip").unlink()
    again = fetching.fetch("ml-100k", tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == [
        "NOTICE.txt",
        "events.parquet",
        "items.parquet",
        "users.parquet",
    ]


def test_offline_without_a_cache_names_what_was_tried_and_offers_synthetic(tiny, tmp_path):
    (tmp_path / "ml-100k.zip").unlink()
    with pytest.raises(UserError) as caught:
        fetching.fetch("ml-100k", tmp_path / "out")
    text = str(caught.value)
    assert tiny.mirrors[0].name in text
    assert "ltrec fetch synthetic" in text
    assert str(tmp_path / "xdg" / "ltrec") in text
    assert "\n" not in text
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="out cannot be written"):
        fetching.fetch("ml-100k", tmp_path / "out")


def test_a_full_disk_leaves_nothing_half_written(tiny, tmp_path, monkeypatch):
    def full(table, where, **_):
        where.write_bytes(b"half a f")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ltrec.data.fetch.events.pq.write_table", full)
    with pytest.raises(UserError, match="No space left on device"):
        fetching.fetch("ml-100k", tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["NOTICE.txt"]


def test_a_mirror_whose_bytes_are_right_but_whose_table_is_not_is_our_bug(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(fetching.DATASETS, "ml-100k", dataclasses.replace(tiny, sha256=tiny.sha256 | {"items.parquet": "0" * 64}))
    with pytest.raises(AssertionError, match="wrong table"):
        fetching.fetch("ml-100k", tmp_path / "out")


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match=r"no data set 'ml100k' \(did you mean 'ml-100k'\?\); known: ml-100k, synthetic"):
        fetching.fetch("ml100k", None)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/ltrec"),
        ("linux", {}, "/home/u/.cache/ltrec"),
        ("darwin", {}, "/home/u/Library/Caches/ltrec"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/ltrec"),
    ],
)
def test_cache_folder_by_platform(monkeypatch, platform, variables, expected):
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/u")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert user_cache().as_posix() == expected
