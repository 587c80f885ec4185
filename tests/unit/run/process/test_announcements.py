"""What a run says of itself: under quotas, how often each stratum's users are visited; options that are slow on this processor."""

import pytest
import torch

from ltrec.config.load import load
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.plan import Plan
from ltrec.run.progress.announcements import note_slow_products, say_visits
from tests.support.shards import fake_manifest


def test_over_sampling_is_printed(capsys):
    manifest = fake_manifest([[30], [90]], block_rows=10)
    say_visits(Plan.of(manifest, 0, StreamConfig(batch_rows=20, lanes=10, composition="quota")))
    assert capsys.readouterr().out == "visits per user and epoch: stratum 0 2.00, stratum 1 0.67\n"


def test_the_natural_stream_prints_nothing(capsys):
    say_visits(Plan.of(fake_manifest([[30], [90]], block_rows=10), 0, StreamConfig(batch_rows=20, lanes=10)))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["objective.name=softmax"], []),
        (["objective.name=softmax", "objective.matmul=bfloat16"], ["objective.matmul=float32"]),
        (["objective.name=bce", "trainer.precision=bf16-mixed"], ["trainer.precision=32-true"]),
        (["objective.name=softmax", "objective.matmul=bfloat16", "trainer.precision=bf16-mixed"], ["objective", "trainer"]),
    ],
)
def test_products_without_instructions_are_named(words, told, monkeypatch, capsys):
    config = load([], [*words, "data.path=d", "name=n"])
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    note_slow_products(config, "cpu")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(told)
    assert all(f"set {key}" in line for key, line in zip(told, lines, strict=True))
    note_slow_products(config, "gpu")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    note_slow_products(config, "cpu")
    assert capsys.readouterr().err == ""
