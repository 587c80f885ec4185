"""What is registered from outside is held against what its row promises, in one line and before the first step."""

from dataclasses import dataclass

import pytest
from torch import nn

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.extension import extensions
from ltrec.models.backbones import BACKBONES, DIN
from ltrec.run.build.components import build_backbone, open_data
from ltrec.run.process.agreement import code_facts
from tests.support.tiny_run import tiny_data


@dataclass(frozen=True)
class OwnConfig:
    name: str = "own"
    width: int = 8


def empty(num_items, max_len, *, width):
    return nn.Linear(width, width)


@pytest.mark.parametrize(
    ("build", "has_states", "said"),
    [
        (empty, True, "model.name=own: Linear of .*test_own_variants is registered with has_states=True, but is no Encoder"),
        (empty, False, "registered with has_states=False, but is no CandidateScorer"),
        (DIN, True, "DIN of ltrec.models.backbones.din .* is no Encoder .* or has_states=False"),
        (DIN, False, None),
    ],
)
def test_a_backbone_is_of_the_kind_its_row_says(tmp_path, build, has_states, said):
    BACKBONES.register("own", config=OwnConfig, build=build, has_states=has_states)
    try:
        tiny_data(tmp_path / "data")
        config = load([], [f"data.path={tmp_path / 'data'}", "model.name=own", "objective.name=bce"])
        data = open_data(config)
        if said is None:
            assert isinstance(build_backbone(config, data), DIN)
        else:
            with pytest.raises(UserError, match=said):
                build_backbone(config, data)
    finally:
        BACKBONES.remove("own")


def test_ranks_compare_what_they_imported(monkeypatch):
    monkeypatch.setattr(extensions, "_imported", {})
    assert not [name for name in code_facts() if "extension" in name]
    monkeypatch.setattr(extensions, "_imported", {"ours": extensions.Extension("ours", "our-models", "1.2", "0123456789ab")})
    assert code_facts()["the extension ours"] == "1.2, digest 0123456789ab"
