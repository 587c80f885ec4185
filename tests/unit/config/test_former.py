"""What is of an earlier ltrec, or of another library, is answered with today's key."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltrec.config.keys.former import KEYS, SETTINGS, today
from ltrec.config.keys.synonyms import SYNONYMS
from ltrec.config.load import load
from ltrec.config.settle import leaf_keys
from ltrec.config.tree import RunConfig, variants
from ltrec.core.errors import UserError

EVERY = {
    *leaf_keys(RunConfig()),
    *(f"{section}.{key}" for section, table in variants().items() for config in table.values() for key in leaf_keys(config())),
}
"""Every key of every variant."""


@pytest.mark.parametrize(
    ("word", "new"),
    [
        ("causal.prior=uniform", "gradients.prior=uniform"),
        ("causal.strata=2", "strata=2"),
        ("causal.shares=[0.25,0.75]", "gradients.prior.shares=[0.25,0.75]"),
        ("rule.name=cagrad", "gradients.rule.name=cagrad"),
        ("rule.c=0.2", "gradients.rule.c=0.2"),
        ("alignment.inner_lr=1e-3", "gradients.inner_lr=1e-3"),
        ("switch.at=3", "plugin.switch.at=3"),
        ("strategy.mode=weighted", "gradients.mode=weighted"),
        ("strategy.mode=aligned", "gradients.name=aligned"),
        ("stream.window_blocks=4", "stream.buffer_blocks=4"),
        ("prepare.cold_users=0.2", "prepare.held_out_users=0.2"),
        ("prepare.cold_seed=5", "prepare.held_out_seed=5"),
        ("strategy.name=joint", "gradients.name=joint"),
        ("strategy.name=stratified_fsdp2", "gradients.name=stratified strategy.name=fsdp2"),
    ],
)
def test_a_word_of_old_is_answered_with_todays(word: str, new: str, tmp_path: Path) -> None:
    key, _, value = word.partition("=")
    with pytest.raises(UserError) as caught:
        load([], [word])
    assert str(caught.value) == f"{key!r} on the command line is of an earlier ltrec: it is now {new}"
    path = tmp_path / "config.yaml"
    section, _, name = key.partition(".")
    path.write_text(f"{section}:\n  {name}: {value}\n")
    with pytest.raises(UserError, match=r"config\.yaml:2 is of an earlier ltrec: it is now "):
        load([path], [])


def test_what_is_promised_can_be_written() -> None:
    for new in KEYS.values():
        assert any(key == new or key.startswith(f"{new}.") for key in EVERY), new
    for words in SETTINGS.values():
        load([], words.split())


def test_a_setting_of_today_is_none_of_old() -> None:
    assert [key for key in sorted(EVERY) if today(key, "auto") is not None] == []


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("optim.learning_rate=1", "optim.lr"),
        ("learning_rate=1", "optim.lr"),
        ("batch_size=1", "stream.batch_rows"),
        ("trainer.epochs=1", "trainer.max_epochs"),
        ("model.hidden_size=1", "model.width"),
        ("model.dropout_rate=1", "model.dropout"),
        ("trainer.accumulate_grad_batches=2", "trainer.accumulate"),
    ],
)
def test_what_others_call_it_is_answered_with_the_key(word: str, key: str) -> None:
    with pytest.raises(UserError, match=rf"^unknown key '{word.partition('=')[0]}' on the command line \(it is '{key}' here\)$"):
        load([], [word])


def test_every_synonym_leads_to_a_key_and_is_none_itself() -> None:
    assert {*SYNONYMS} <= EVERY
    names = [word for words in SYNONYMS.values() for word in words]
    assert len(names) == len({*names})
    assert not {*names} & {key for key in EVERY if "." not in key}


def test_a_key_that_the_chosen_variant_lacks_is_not_offered() -> None:
    with pytest.raises(UserError, match=r"unknown key 'model\.num_layers'") as caught:
        load([], ["model.name=gru4rec", "model.num_layers=2"])
    assert "model.blocks" not in str(caught.value)
