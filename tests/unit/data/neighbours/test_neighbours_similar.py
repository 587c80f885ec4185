"""The most similar items of a prepared data set, by the values of its columns that they have in common."""

from __future__ import annotations

from math import log, sqrt

import pytest

from ltrec.columns.schema import Schema
from ltrec.core.errors import UserError
from ltrec.data.neighbours.config import ContentConfig
from ltrec.data.neighbours.file import read_neighbours, write_neighbours
from ltrec.data.neighbours.similar import compared_columns, find_similar
from tests.support.shards import column, random_users, write_dataset

BRAND = [2, 2, 3, 1, 0, 3, 4, 1]
TAGS = [[2, 3], [2], [3, 4], [], [1, 2], [4, 4], [2, 3], [1]]
"""Ids 0 and 1 are missing, unknown and rare values, which are never shared."""


@pytest.fixture
def written(tmp_path):
    schema = Schema(
        (column("brand", "category", "item", 5), column("tags", "categories", "item", 5), column("price", "number", "item"))
    )
    items = {"brand": BRAND, "tags": TAGS, "price": [1.0] * 8}
    return tmp_path, write_dataset(tmp_path, random_users([9], num_items=8), num_items=8, schema=schema, items=items)


def naive(names, power):
    """Similarities [item][item] of what is held in the named columns."""
    held = [set() for _ in BRAND]
    if "brand" in names:
        held = [bag | {("brand", value)} for bag, value in zip(held, BRAND, strict=True)]
    if "tags" in names:
        held = [bag | {("tags", value) for value in values} for bag, values in zip(held, TAGS, strict=True)]
    held = [{word for word in bag if word[1] >= 2} for bag in held]
    weight = {word: log(8 / sum(word in bag for bag in held)) for bag in held for word in bag}
    found = {}
    for i, mine in enumerate(held, 1):
        for j, other in enumerate(held, 1):
            inner = sum(weight[word] ** 2 for word in mine & other)
            if i != j and inner:
                norms = [sqrt(sum(weight[word] ** 2 for word in bag)) for bag in (mine, other)]
                found[i, j] = (inner / (norms[0] * norms[1])) ** power
    return found


@pytest.mark.parametrize("names", [("brand",), ("tags",), ("brand", "tags"), ("all",)])
def test_the_nearest_of_the_naive_cosines(written, names):
    folder, manifest = written
    found = find_similar(folder, manifest, ContentConfig(columns=names, power=1.5, neighbours=3))
    expected = naive(("brand", "tags") if names == ("all",) else names, 1.5)
    for i in range(1, 9):
        best = sorted(((-value, j) for (item, j), value in expected.items() if item == i))[:3]
        row = [j for j in found.item_VN[i].tolist() if j]
        assert found.weight_VN[i, : len(row)].tolist() == pytest.approx([-value for value, _ in best], rel=1e-6)
        assert all(expected[i, j] == pytest.approx(w, rel=1e-6) for j, w in zip(row, found.weight_VN[i].tolist(), strict=False))
    assert not found.item_VN[0].any()


def test_they_are_kept_and_read_as_counted_neighbours_are(written, tmp_path):
    folder, manifest = written
    found = find_similar(folder, manifest, ContentConfig(columns=("all",)))
    write_neighbours(tmp_path / "similar.parquet", found)
    assert read_neighbours(tmp_path / "similar.parquet", found.made_of).digest == found.digest


def test_columns_that_cannot_be_compared_are_refused(written, tmp_path):
    _, manifest = written
    with pytest.raises(UserError, match=r"no item column 'brnd' \(did you mean 'brand'\?\); it has brand, tags, price"):
        compared_columns(manifest, ContentConfig(columns=("brnd",)))
    with pytest.raises(UserError, match=r"'price' is not of kind category or categories"):
        compared_columns(manifest, ContentConfig(columns=("price",)))
    plain = write_dataset(tmp_path / "plain", random_users([9]))
    assert compared_columns(plain, ContentConfig(columns=("all",))) == ()
    assert compared_columns(manifest, ContentConfig()) == ()
