"""Some events are targets, all are history: positions, strata and trainable users against plain Python, both splits."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.columns.kinds.category import CategoryConfig
from ltrec.core.errors import UserError
from ltrec.data.columns import vocabulary_of
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.logs import START, write_csv
from tests.support.naive_prepare import naive_prepare, read_back

HEADER = ("user_id", "item_id", "timestamp", "kind", "shop")
rows = st.tuples(
    st.sampled_from(["u1", "u2", "u3", "u4"]),
    st.sampled_from(["a", "b", "c"]),
    st.integers(START, START + 40),
    st.sampled_from(["view", "view", "buy", "gift", None]),
    st.sampled_from(["north", "south"]),
)
options = st.fixed_dictionaries(
    {
        "strata_by": st.sampled_from(["events", "targets"]),
        "ties": st.sampled_from(["source", "hash"]),
        "history_cap": st.sampled_from([3, 5, 50]),
        "held_out_users": st.sampled_from([0.0, 0.0, 0.4]),
        "strata": st.integers(1, 3),
        "targets": st.sampled_from([{"kind": ("buy", "gift")}, {"kind": ("buy",)}, {"kind": ("buy", "gift"), "shop": ("north",)}]),
    }
)


def config_of(source, **chosen):
    columns = {"kind": CategoryConfig(min_count=1000), "shop": CategoryConfig()}
    return PrepareConfig(
        sources=(str(source),), threads=1, event_columns=columns, valid_from="0.6", test_from="0.8", duplicates="keep", **chosen
    )


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_targets_equal_the_naive_reference(split):
    @settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(rows, min_size=25, max_size=60), options)
    def compare(log, chosen):
        log = [*log, ("u1", "a", START, "buy", "north"), ("u2", "a", START, "gift", "south")]
        with tempfile.TemporaryDirectory() as folder:
            config = config_of(write_csv(Path(folder, "log.csv"), log, HEADER), split=split, **chosen)
            wanted = config.targets
            flags = [k in wanted["kind"] and s in wanted.get("shop", ("north", "south")) for *_, k, s in log]
            expected = naive_prepare([row[:3] for row in log], config, [row[3:] for row in log], flags)
            if expected is None:
                with pytest.raises(UserError):
                    prepare(config, Path(folder, "out"))
                return
            manifest = prepare(config, Path(folder, "out"))
            assert read_back(Path(folder, "out"))[0] == expected.rows
            _check_trainable(Path(folder, "out"), manifest, expected, flags)
            assert verify(Path(folder, "out")) == manifest

    compare()


def _check_trainable(out, manifest, expected, flags):
    for shard in manifest.shards:
        for user in pq.read_table(out / shard.path, partitioning=None)["user_id"].to_pylist():
            row = expected.rows[user]
            assert any(flags[order] for order in row.orders[1 : row.train_events]) == shard.trainable


def sessions(folder):
    """Six users who view, view, buy three times; prepared with purchases as targets."""
    log = [(f"u{u}", f"i{n % 4}", START + n, "buy" if n % 3 == 2 else "view", "north") for u in range(6) for n in range(11)]
    source = write_csv(folder / "log.csv", log, HEADER)
    return prepare(config_of(source, targets={"kind": ("buy",)}), folder / "out")


def test_the_last_two_purchases_are_targets_and_views_after_them_are_kept(tmp_path):
    manifest = sessions(tmp_path)
    row = pq.read_table(tmp_path / "out" / manifest.shards[0].path, partitioning=None).to_pylist()[0]
    assert (row["train_events"], row["valid_at"], row["test_at"], len(row["items"])) == (5, 5, 8, 11)
    kind = manifest.columns.of("event")["kind"]
    [bought] = manifest.split["targets"]["kind"]
    assert vocabulary_of(tmp_path / "out", manifest, kind)[bought - 2] == "buy"
    assert Manifest.load(tmp_path / "out") == manifest
    assert manifest.split["strata_by"] == "events"


def test_a_target_value_has_an_id_even_if_it_is_rare(tmp_path):
    assert sessions(tmp_path).columns.of("event")["kind"].size == 3


def test_a_target_that_no_event_has_is_one_line(tmp_path):
    source = write_csv(tmp_path / "log.csv", [("u", "i", START, "buy", "x"), ("v", "i", START, "view", "x")], HEADER)
    with pytest.raises(
        UserError, match=r"^`targets\.kind` names 'by' \(did you mean 'buy'\?\), which no event has; it has buy, view$"
    ):
        prepare(config_of(source, targets={"kind": ("by",)}), tmp_path / "out")


def test_nobody_with_a_target_to_train_on_is_one_line(tmp_path):
    log = [(f"u{u}", "i", START + n, "view" if n else "buy", "x") for u in range(3) for n in range(3)]
    with pytest.raises(UserError, match="no user has a target among the training events after the first"):
        prepare(config_of(write_csv(tmp_path / "log.csv", log, HEADER), targets={"kind": ("buy",)}), tmp_path / "out")
