"""Committed results keep their keys and their commands, however settings are spelled today."""

from __future__ import annotations

import pytest

from benchmarks.harness.conf_methods import FILES
from benchmarks.harness.former import former, words_of_today
from benchmarks.harness.ledger import key_of
from ltrec.config.load import load
from tests.support.source_tree import ROOT

KNOWN = {
    ("pin-ltp", ""): "e8ed30ed8b62f0d4",
    ("melt", ""): "683a8fad12f930b7",
    ("group-dro", "rule.eta=0.001 causal.strata=2"): "7cbd7e6c1a228ea3",
    ("pin", "switch.plugin_rate=0.1 causal.prior=event"): "fe15adeaaf420a3b",
    ("ltp", "alignment.trajectories=6 adversary.weight=0.01"): "6910a6f3f51220f0",
    ("class-balanced", "causal.beta=0.5"): "7cda799bd3442876",
    ("pin-upgrad", "strategy.name=stratified_fsdp2 strategy.mode=per_stratum"): "ccb9cd8a8838e188",
}
"""(method, words of old) -> the key that the code of those days gave."""


@pytest.mark.parametrize(("method", "words"), KNOWN)
def test_a_key_is_what_it_was(method: str, words: str) -> None:
    config = load([FILES[method][0]], list(words_of_today(tuple(words.split()))))
    assert key_of(config, "d") == KNOWN[method, words]


def test_every_section_of_those_days_is_there() -> None:
    found = former(load([ROOT / "conf/method/pin-memory.yaml"], []))
    assert found["switch.by"] == "plateau"
    assert not any(key.startswith(("gradients.", "plugin.trained.switch.")) for key in found)


def test_words_of_today() -> None:
    assert words_of_today(("optim.lr=1", "strategy.name=stratified_ddp", "switch.at=3", "causal.prior=uniform")) == (
        "optim.lr=1",
        "gradients.name=stratified",
        "strategy.name=ddp",
        "plugin.switch.at=3",
        "gradients.prior=uniform",
    )
