"""MovieLens-100K: 100,000 ratings by 943 users of 1,682 films, September 1997 to April 1998.

Every rating is an event; its value is left out. Beside the events: title, year and genres of every film (`items.parquet`), age,
sex, occupation and zip code of every user (`users.parquet`).

**Order.** Users rated whole pages of films at a time: 51 % of a user's
consecutive steps tie in time, so the row order of `u.data` decides what came first (`u.data` is not sorted; within a tie its
order carries no known meaning, but it must be *one* order, or two people train on different sequences).

Both mirrors give that order. The wheel's `ml-100k.inter` is one header line followed by `u.data`, byte for byte: without its
header it has the published sha256 of `u.data` (06416e59...), the pin below, which is also what a copy of the archive gives.
One canonical table therefore serves both, and its hash is checked whichever mirror answered.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.csv as csv

from ltrec.data.fetch.events import EVENT_SCHEMA, EVENTS, ITEMS, USERS
from ltrec.data.fetch.mirrors import HttpArchive, Member, PipWheel
from ltrec.data.fetch.movielens_tables import read_films, read_users
from ltrec.data.fetch.published import Published

_NOTICE = """\
MovieLens-100K, collected by the GroupLens Research Project at the University of Minnesota.

The owners' terms, in short (full text: README of the archive, https://files.grouplens.org/datasets/movielens/ml-100k-README.txt):
for research; acknowledge it in publications; do not imply endorsement by the University of Minnesota or GroupLens;
do not redistribute it without separate permission; ask GroupLens before any commercial use.

Cite: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context.
ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872

events.parquet holds user, film and time of every rating in the order of u.data; rating values are left out. Half of all steps tie
in time, so the order matters: both mirrors (the GroupLens archive; ml-100k.inter in the wheel recbole 1.2.1, which is u.data byte
for byte behind one header line) give this one. items.parquet holds title, genres and year of every film, users.parquet age, sex,
occupation and zip code of every user.
"""

_ARCHIVE = HttpArchive(
    "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    (
        Member("ml-100k/u.data", 1_979_173, "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"),
        Member("ml-100k/u.item", 236_344, "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701"),
        Member("ml-100k/u.user", 22_628, "f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c"),
    ),
)
_IN_WHEEL = "recbole/dataset_example/ml-100k/ml-100k"
_WHEEL = PipWheel(
    "recbole==1.2.1",
    (
        Member(f"{_IN_WHEEL}.inter", 1_979_230, "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"),
        Member(f"{_IN_WHEEL}.item", 66_632, "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"),
        Member(f"{_IN_WHEEL}.user", 22_697, "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972"),
    ),
)


def read_log(contents: Mapping[str, bytes]) -> dict[str, pa.Table]:
    """Events, films and users of either mirror, by file name."""
    (ratings, of_ratings), (films, of_films), (users, of_users) = contents.items()
    return {
        EVENTS: read_ratings(of_ratings, ratings),
        ITEMS: read_films(of_films, films),
        USERS: read_users(of_users, users),
    }


def read_ratings(content: bytes, path: str) -> pa.Table:
    """Events of `u.data` or of an `.inter` file (one typed header line), rows in file order."""
    columns = ["user_id", "item_id", "rating", "timestamp"]
    table = csv.read_csv(
        pa.BufferReader(content),
        read_options=csv.ReadOptions(column_names=columns, skip_rows=int(path.endswith(".inter")), use_threads=False),
        parse_options=csv.ParseOptions(delimiter="\t"),
        convert_options=csv.ConvertOptions(
            column_types={"user_id": pa.string(), "item_id": pa.string(), "timestamp": pa.int64()},
            include_columns=EVENT_SCHEMA.names,
        ),
    )
    return table.cast(EVENT_SCHEMA).combine_chunks()


ML_100K = Published(
    name="ml-100k",
    mirrors=(_ARCHIVE, _WHEEL),
    read=read_log,
    sha256={
        EVENTS: "5746883952d93f86e140bbbefb7484081cebbb592172f333576b10a9cdc8ce0f",  # of `cut -f1,2,4 u.data`
        ITEMS: "46f3bd61ba9b9e87810902e012ef0ed5eb01dd870ee03a504446eb3a15f4a82b",
        USERS: "6a661c568d4d410a43e36c57748a7ff1858602483cfa2bafb3196b1fc1ff8944",
    },
    notice=_NOTICE,
)
