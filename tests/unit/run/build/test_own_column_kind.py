"""The manual's own kind of column: one class, one row, and a model sees it."""

import pytest
import torch

from ltrec.columns.kinds import COLUMN_KINDS
from ltrec.columns.schema import Schema
from ltrec.config.load import load
from ltrec.run.build.components import build_backbone, open_data
from tests.support.pages import PAGES, blocks
from tests.support.shards import column, random_users, write_dataset


@pytest.fixture
def angle():
    *_, source = blocks(PAGES["docs/extending.md"], "python")
    exec(source, {"__name__": "my_columns"})
    yield
    COLUMN_KINDS.remove("angle")


@pytest.mark.usefixtures("angle")
def test_a_column_of_the_manual_s_kind_is_read_and_seen(tmp_path):
    degrees = [float("nan") if i == 3 else 12.0 * i for i in range(31)]  # item 1 points where item 31 does
    schema = Schema((column("heading", "angle", "item"),))
    write_dataset(tmp_path, random_users([9, 9], num_items=31), num_items=31, schema=schema, items={"heading": degrees})
    config = load([], [f"data.path={tmp_path}", "inputs.items=[heading]", "model.width=8"])
    items = build_backbone(config, open_data(config)).items
    with torch.no_grad():
        items.ids.weight.zero_()
        table = items.table()
    torch.testing.assert_close(table[1], table[31], atol=1e-6, rtol=0)
    assert not torch.allclose(table[1], table[16]) and table.isfinite().all()
