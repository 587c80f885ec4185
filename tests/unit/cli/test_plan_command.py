"""`ltrec plan` and `ltrec.plan`: what people and scripts are shown."""

import json

import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.cli.plan_tables import shown_bytes, shown_seconds
from ltrec.core.errors import UserError
from tests.support.tiny_run import tiny_data, tiny_words

CONFIG = ["conf/model/sasrec.yaml", "gradients.name=stratified", "objective.name=sampled_softmax", "objective.scope=shared"]


def test_people_see_each_cost_its_parts_and_what_helps(capsys):
    assert main(["plan", *CONFIG, "--items", "1000000", "--nodes", "2", "--gpus-per-node", "8", "--device", "h100"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "16 processes (h100, per_stratum, ddp)" in shown
    assert "item table 64,000,064" in shown and "most: launches" in shown and "gradients.mode=weighted" in shown


def test_scripts_get_one_line_of_json(capsys):
    words = ["--items", "100000000", "--nodes", "2", "--gpus-per-node", "8", "--json"]
    assert main(["plan", *CONFIG, "stream.batch_rows=100", *words]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["processes"] == 16 and found["device"]["name"] == "a100" and not found["fits"]
    assert found["memory"]["all"] == sum(held for part, held in found["memory"].items() if part != "all")
    assert found["refused"] is not None and "this run would be refused" in captured.err and "does not fit" in captured.err


def test_a_prepared_data_set_says_how_long_rows_are_and_which_are_touched(tmp_path, capsys):
    data = tiny_data(tmp_path / "data")
    assert main(["plan", *tiny_words(data, tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "item table 248" in " ".join(shown.split()) and "of 30 are touched" in shown and "no data set" not in shown
    assert list(tmp_path.iterdir()) == [data]  # nothing was written


def test_from_python_with_rates_of_ones_own():
    slow, fast = (
        ltrec.plan(*CONFIG, items=10_000, flops=rate, bandwidth=1e10, link=1e9, optim={"lr": 1e-3}) for rate in (1e9, 1e12)
    )
    assert slow.device.name == "cpu-core" and slow.fits
    assert slow.estimate.seconds["arithmetic"] == 1000 * fast.estimate.seconds["arithmetic"]


def test_an_unknown_device_and_a_missing_catalogue_are_one_line():
    with pytest.raises(UserError, match=r"device 'h10' is unknown.*h100"):
        ltrec.plan(*CONFIG, items=10, device="h10")
    with pytest.raises(UserError, match="--items V"):
        ltrec.plan(*CONFIG)
    with pytest.raises(UserError, match="nowhere"):
        ltrec.plan(*CONFIG, data="nowhere")


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"nodes": 0}, "nodes must be at least 1; got 0"),
        ({"gpus_per_node": -1}, "gpus_per_node must be at least 0"),
        ({"items": -5}, "items must be at least 0; got -5"),
        ({"items": 10**20}, "items must be at most 1000000000000"),
        ({"flops": float("nan")}, "flops must be at least 0; got nan"),
        ({"link": -1.0}, "link must be at least 0"),
    ],
)
def test_numbers_out_of_bounds_are_one_line(numbers, told):
    with pytest.raises(UserError, match=told):
        ltrec.plan(*CONFIG, **{"items": 10, **numbers})


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1234, "1.23 kB"),
        (5e14, "500 TB"),
        (5e15, "5,000 TB"),
        (999_600, "1 MB"),
        (999_400, "999 kB"),
        (9.996e14, "1,000 TB"),
    ],
)
def test_bytes_have_a_unit(number, shown):
    assert shown_bytes(number) == shown


def test_seconds_have_a_unit():
    assert shown_seconds(0.01234) == "12.3 ms" and shown_seconds(2.5) == "2.50 s"
    assert shown_seconds(0.9996) == "1.00 s" and shown_seconds(0.9994) == "999 ms"
