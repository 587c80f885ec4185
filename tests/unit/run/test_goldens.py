"""Every method still comes to its golden; see tests/support/goldens.py for what that is and when one may move."""

from __future__ import annotations

import pytest

from tests.support.goldens import FOLDER, METHODS, STEPS, differences, golden_of, run

CHANGED = {
    "class-balanced": "gradients.prior.beta=0.9995",
    "cvar-dro": "emphasis.alpha=0.52",
    "focal": "emphasis.gamma=2.01",
    "group-dro": "gradients.rule.eta=0.011",
    "ipw": "gradients.estimator=hajek",
    "joint": "optim.weight_decay=0.0101",
    "per-user-mean": "stream.unit=target",
    "upgrad": "gradients.prior.name=user",
}
"""Method -> a small change of it. Where a coefficient leaves the first losses alone, the later ones tell."""


def test_every_method_has_its_golden_and_every_golden_its_method():
    """A new method: python -m tests.support.goldens NAME."""
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == METHODS


@pytest.mark.parametrize("method", METHODS)
def test_a_method_comes_to_its_golden(method, tmp_path):
    golden = golden_of(method)
    assert len(golden["losses"]) == STEPS
    assert differences(run(method, tmp_path), golden) == []


@pytest.mark.parametrize("method", ["pin", "upgrad"])
def test_strata_run_one_by_one_come_to_the_same(method, tmp_path):
    """Goldens of stratified methods are from one pass for all strata, dropout and plugins included."""
    assert differences(run(method, tmp_path, "gradients.source=split"), golden_of(method)) == []


@pytest.mark.parametrize("method", CHANGED)
def test_a_changed_method_does_not(method, tmp_path):
    assert differences(run(method, tmp_path, CHANGED[method]), golden_of(method))


@pytest.mark.parametrize("method", ["cagrad", "melt"])
def test_the_tolerance_bears_another_machine(method, tmp_path):
    """The most sensitive solver, and two stages: changes of the last bit stay far within it."""
    assert differences(run(method, tmp_path, nudge=1e-15), golden_of(method)) == []


TRAINED_AS = [("joint", "memory"), ("joint", "recommended"), ("memory", "recommended"), ("pin", "pin-memory")]
"""A memory is added when training has ended, and an average of the weights is beside them."""


def test_goldens_of_different_methods_differ():
    """Whatever a method changes is felt in the tiny run, but for methods that are trained as another is."""
    same = [
        (a, b)
        for i, a in enumerate(METHODS)
        for b in METHODS[i + 1 :]
        if not differences(golden_of(a) | {"method": b}, golden_of(b))
    ]
    assert same == TRAINED_AS
