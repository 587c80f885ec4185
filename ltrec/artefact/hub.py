"""The layout of Hugging Face's hub: what it reads from a repository of a model. Nothing is uploaded.

README.md           front matter: license, tags, the metrics of the test split
config.json         the model's shape; the hub counts downloads by it
model.safetensors   the tables
.gitattributes      binary files go to Git LFS
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.evaluation.summary import Summary

TABLES, CONFIG, ATTRIBUTES = "model.safetensors", "config.json", ".gitattributes"
UNKNOWN_LICENSE = "unknown"
_TAGS = ("recommendation", "sequential-recommendation", "long-tail")
_METRICS = {"ndcg@10": "NDCG@10", "hr@10": "HR@10"}
_LARGE = ("*.safetensors", "*.pt2", "*.onnx", "*.arrow")


def check_license(given: str) -> None:
    """Refuse what is no identifier of a license.

    Raises:
        UserError: naming it.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", given):
        raise UserError(f"--license {given!r} is no identifier of the hub, such as apache-2.0, mit, cc-by-4.0 or other")


def front_matter(facts: dict[str, Any], license: str | None, summary: Summary | None) -> Iterator[str]:
    """The lines before the card, in YAML; every text is quoted as in JSON, which YAML contains."""
    yield "---"
    if license is not None:
        yield f"license: {_text(license)}"
    yield "library_name: ltrec"
    yield f"tags: [{', '.join([*_TAGS, _text(facts['model'])])}]"
    known = {} if summary is None else {name: summary.groups["all"].metrics.get(name) for name in _METRICS}
    values = {name: found.mean for name, found in known.items() if found is not None and not math.isnan(found.mean)}
    if values:
        yield f"metrics: [{', '.join(map(_text, values))}]"
        yield "model-index:"
        yield f"- name: {_text(facts['run'])}"
        yield "  results:"
        yield "  - task: {type: recommendation, name: Sequential recommendation}"
        yield f"    dataset: {{type: ltrec, name: {_text(facts['data']['name'])}, split: test}}"
        yield "    metrics:"
        for name, value in values.items():
            yield f"    - {{type: {_text(name)}, name: {_text(_METRICS[name])}, value: {value:.6f}}}"
    yield from ("---", "")


def write_hub_files(folder: Path, config: RunConfig, facts: dict[str, Any]) -> None:
    """Write `config.json` and `.gitattributes`."""
    shape = {
        "model_type": "ltrec",
        "architectures": [config.model.name],
        "plugin": facts["plugin"],
        "hidden_size": config.model.width,
        "max_position_embeddings": facts["max_len"],
        "vocab_size": facts["data"]["items"] + facts["appended"] + 1,
        "torch_dtype": {"fp32": "float32", "fp16": "float16"}.get(facts["table"], facts["table"]),
        "format": facts["format"],
    }
    (folder / CONFIG).write_text(json.dumps(shape, indent=2) + "\n", encoding="utf-8")
    (folder / ATTRIBUTES).write_text("".join(f"{name} filter=lfs diff=lfs merge=lfs -text\n" for name in _LARGE), encoding="utf-8")


def _text(value: str) -> str:
    return json.dumps(value)
