"""`ltrec inspect`: strata, lengths, popularity, ties, time span, columns and shard sizes, as table, JSON and picture."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ltrec
from ltrec.cli import main as cli
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.overview import item_counts, popularity, shard_sizes
from tests.support.logs import START, prepared


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    draw = np.random.default_rng(0)
    rows = [(f"u{n % 40}", f"i{min(49, int(draw.exponential(9)))}", START + 60 * n) for n in range(1200)]
    manifest = prepared(folder, rows, name="<b>shop</b>", shard_events=300, block_rows=8, held_out_users=0.1)
    return folder / "out", manifest


def test_popularity_by_hand():
    found = popularity(np.array([6, 3, 1, 0]))
    assert (found.items, found.untrained, found.largest, found.median) == (4, 1, 6, 3)
    assert found.top == {0.01: 0.6, 0.1: 0.6, 0.2: 0.6, 0.5: 0.9}
    pairs = [abs(a - b) for a in (6, 3, 1, 0) for b in (6, 3, 1, 0)]
    assert found.gini == pytest.approx(sum(pairs) / (2 * 4 * 10))
    assert popularity(np.array([2, 2, 2])).gini == pytest.approx(0)
    assert popularity(np.array([0, 0])).gini == 0


def test_shard_sizes_add_up(data):
    folder, manifest = data
    sizes = shard_sizes(manifest)
    assert [found.stratum for found in sizes] == [*range(manifest.strata.count), -1]
    assert sum(found.shards for found in sizes) == len(manifest.shards) > len(sizes)
    assert sum(found.bytes for found in sizes) == sum((folder / shard.path).stat().st_size for shard in manifest.shards)
    assert sum(found.users for found in sizes) == manifest.summary["users"]
    assert sum(found.events for found in sizes) == manifest.summary["events"]
    assert all(0 < found.largest <= found.bytes for found in sizes)


def test_json_has_all_of_it(data, capsys):
    folder, manifest = data
    assert cli.main(["inspect", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["engine"] == "duckdb"
    assert found["period"] == {"first": START, "last": START + 60 * 1199}
    assert found["lengths"]["max"] == 30
    assert found["ties"] == {"events": 0, "share": 0.0, "pairs": 0, "ascending": 0.5, "rule": "source"}
    assert found["popularity"]["items"] == found["items"] == manifest.vocab.items
    assert set(found["popularity"]["top"]) == {"0.01", "0.1", "0.2", "0.5"}
    assert sum(part["bytes"] for part in found["shards"]) == sum(shard.bytes for shard in manifest.shards)
    assert [stratum["users"] for stratum in found["strata"]] == list(manifest.strata.users)


def test_tables_show_popularity_and_shards(data, capsys):
    folder, _ = data
    assert cli.main(["inspect", str(folder)]) == 0
    shown = " ".join("".join(capsys.readouterr()).split())
    for words in ("items by training events", "Gini", "events per user", "strata by training events", "largest MiB", "none"):
        assert words in shown


def test_a_log_without_times_has_no_period(tmp_path):
    prepared(tmp_path, time="order", time_unit="auto")
    assert ltrec.inspect(tmp_path / "out").to_dict()["period"] is None


def test_the_picture_is_a_page_that_needs_nothing_else(data, tmp_path, capsys):
    folder, manifest = data
    assert cli.main(["inspect", str(folder), "--picture", str(tmp_path / "shop.html")]) == 0
    page = (tmp_path / "shop.html").read_text()
    assert "<h1>&lt;b&gt;shop&lt;/b&gt;</h1>" in page
    assert page.count("data:image/png;base64,") == 2
    assert not any(words in page for words in ("http:", "https:", "<script", "url("))
    assert f"<td>{manifest.summary['events']:,}</td>" in page
    assert str(tmp_path / "shop.html") in "".join(capsys.readouterr())


def test_the_picture_is_an_image(data, tmp_path):
    found = ltrec.inspect(data[0], picture=tmp_path / "shop.png")
    assert (tmp_path / "shop.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert found.popularity == popularity(item_counts(data[0], data[1]))
    with pytest.raises(UserError, match=r"must end in \.html \(a page\) or \.png"):
        ltrec.inspect(data[0], picture=tmp_path / "shop.pdf")


def test_a_damaged_vocabulary_is_said(tmp_path):
    manifest = prepared(tmp_path)
    assert Manifest.load(tmp_path / "out") == manifest
    (tmp_path / "out" / manifest.vocab.path).write_bytes(b"PAR1")
    with pytest.raises(UserError, match="is missing or damaged"):
        ltrec.inspect(tmp_path / "out")
