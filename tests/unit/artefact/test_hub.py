"""The layout of Hugging Face's hub."""

from __future__ import annotations

import json

import pytest
import yaml

from ltrec.artefact.card import card
from ltrec.artefact.facts import Measurements
from ltrec.artefact.hub import check_license, write_hub_files
from ltrec.artefact.parity import Parity
from ltrec.artefact.request import ExportRequest
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.evaluation.summary import summarise
from tests.support.evaluation import eval_table
from tests.unit.artefact.test_card import FACTS


def front(text: str) -> dict:
    """The front matter of a card."""
    start, matter, _ = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(matter)


def test_front_matter_is_yaml_with_license_tags_and_metrics():
    summary = summarise(eval_table([1, 2, 30, 4], activity=[2, 6, 9, 12]))
    facts = {**FACTS, "run": 'a "run": no - {x}', "data": {**FACTS["data"], "name": "shop: #1"}}
    found = front(card(facts, Measurements(summary, ()), Parity(1, 0.0, 0), license="apache-2.0"))
    assert found["license"] == "apache-2.0" and found["library_name"] == "ltrec"
    assert found["tags"] == ["recommendation", "sequential-recommendation", "long-tail", "sasrec"]
    assert found["metrics"] == ["ndcg@10", "hr@10"]
    [model] = found["model-index"]
    [result] = model["results"]
    assert model["name"] == 'a "run": no - {x}' and result["dataset"] == {"type": "ltrec", "name": "shop: #1", "split": "test"}
    assert result["task"]["type"] == "recommendation"
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["hr@10"] == 0.75 and values["ndcg@10"] == pytest.approx(summary.groups["all"].metrics["ndcg@10"].mean, abs=1e-6)


def test_what_was_not_measured_or_said_is_left_out():
    found = front(card(FACTS, Measurements(None, ()), Parity(1, 0.0, 0)))
    assert {*found} == {"library_name", "tags"}


def test_files_of_the_hub(tmp_path):
    facts = {**FACTS, "appended": 2, "table": "int8", "format": "onnx"}
    write_hub_files(tmp_path, load([], ["data.path=d", "model.width=48"]), facts)
    shape = json.loads((tmp_path / "config.json").read_text())
    assert shape["model_type"] == "ltrec" and shape["architectures"] == ["sasrec"] and shape["hidden_size"] == 48
    assert shape["vocab_size"] == 1237 and shape["torch_dtype"] == "int8" and shape["max_position_embeddings"] == 50
    lines = (tmp_path / ".gitattributes").read_text().splitlines()
    assert "*.safetensors filter=lfs diff=lfs merge=lfs -text" in lines and len(lines) == 4


def test_names_and_license_of_a_request(tmp_path):
    plain, hub = ExportRequest(tmp_path, "torch", 5), ExportRequest(tmp_path, "torch", 5, hub=True)
    assert (plain.tables_file, plain.card_license) == ("tables.safetensors", None)
    assert (hub.tables_file, hub.card_license) == ("model.safetensors", "unknown")
    assert ExportRequest(tmp_path, "torch", 5, license="mit").card_license == "mit"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0; it must be at least 1"),
        ({"table": "int4"}, r"--table int4 is unknown \(did you mean 'int8'\?\); choose from fp32, fp16, int8"),
        ({"max_loss": 2.0}, r"--max-loss is 2; it is a share of NDCG@10, from 0 to 1"),
        ({"max_loss": float("nan")}, r"--max-loss is nan"),
        ({"license": "All Rights Reserved"}, r"--license 'All Rights Reserved' is no identifier of the hub, such as apache-2\.0"),
    ],
)
def test_options_out_of_range_are_one_line(tmp_path, options, message):
    with pytest.raises(UserError, match=message) as caught:
        ExportRequest(**{"out": tmp_path, "form": "torch", "k": 5, **options}).check()
    assert "\n" not in str(caught.value)


def test_identifiers_of_licenses():
    for good in ("apache-2.0", "mit", "cc-by-nc-sa-4.0", "other", "c-uda", "bsd-3-clause"):
        check_license(good)
