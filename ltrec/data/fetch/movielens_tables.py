"""Film and user tables of MovieLens-100K, read from the formats of both mirrors into the same tables.

`u.item` (separated by |, latin-1) has the year of release in the title and a flag per genre. The wheel's `.item` (tabs, UTF-8) has
a column for the year and names the genres, in the same order. Two films differ: the wheel misspells the title "unknown", and takes
the mark (V) of a video for the year. `u.user` and `.user` have the same content.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pyarrow as pa

ITEM_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("genres", pa.list_(pa.string()), nullable=False),
        pa.field("year", pa.int32()),  # of release; null if unknown
    ]
)
USER_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("age", pa.int32(), nullable=False),
        pa.field("sex", pa.string(), nullable=False),
        pa.field("occupation", pa.string(), nullable=False),
        pa.field("zip_code", pa.string(), nullable=False),
    ]
)
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_TITLE = re.compile(r"(?P<title>.*?) ?(?:\((?P<year>\d{4})\))?(?: \(V\))?")


def read_films(content: bytes, path: str) -> pa.Table:
    """Films of `u.item` or of an `.item` file, rows in file order."""
    parse = _film_of_archive if _of_archive(path) else _film_of_wheel
    return pa.Table.from_pylist([parse(*row) for row in _rows(content, path)], ITEM_SCHEMA)


def read_users(content: bytes, path: str) -> pa.Table:
    """Users of `u.user` or of a `.user` file, rows in file order."""
    return pa.Table.from_pylist(
        [dict(zip(USER_SCHEMA.names, (user, int(age), *rest), strict=True)) for user, age, *rest in _rows(content, path)],
        USER_SCHEMA,
    )


def _of_archive(path: str) -> bool:
    return PurePosixPath(path).name.startswith("u.")


def _rows(content: bytes, path: str) -> list[list[str]]:
    """Fields of the lines; the wheel's files begin with a header."""
    archive = _of_archive(path)
    lines = content.decode("latin-1" if archive else "utf-8").removesuffix("\n").split("\n")
    return [line.split("|" if archive else "\t") for line in (lines if archive else lines[1:])]


def _film_of_archive(item: str, title: str, _release: str, _video: str, _url: str, *flags: str) -> dict[str, object]:
    return _film(item, title, [genre for genre, flag in zip(_GENRES, flags, strict=True) if flag == "1"])


def _film_of_wheel(item: str, title: str, year: str, genres: str) -> dict[str, object]:
    known = f"{title} ({year})" if year.isdigit() else title.replace("unkonwn", "unknown")
    return _film(item, known, genres.split(" "))


def _film(item: str, title_and_year: str, genres: list[str]) -> dict[str, object]:
    found = _TITLE.fullmatch(title_and_year.strip())
    assert found is not None  # the pattern matches any line
    year = found["year"]
    return {"item_id": item, "title": found["title"], "genres": genres, "year": None if year is None else int(year)}
