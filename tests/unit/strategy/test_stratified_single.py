"""Strategy `stratified` under a real Trainer equals the definition; hooks, clipping, scaler and probes keep their places."""

from dataclasses import replace

import pytest
import torch

from tests.support.closeness import assert_close, assert_same, largest_difference
from tests.support.lightning_toy import Case, train
from tests.support.naive_training import naive_train
from tests.support.stratified_cases import EQUAL, NOT_EMPTY, WAYS, tolerance

GRAM = {"upgrad", "dot_attention"}
ONE_RANK = {name: replace(case, spoil=(*case.spoil[:2], 0)) if case.spoil else case for name, case in EQUAL.items()}
COUPLED = {name: replace(case, couples_rows=True, parts=1) for name, case in WAYS.items()}
ALL = ONE_RANK | {f"{name}-coupled": case for name, case in COUPLED.items()}


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_a_run_equals_the_definition(case):
    found, expected = train(0, 1, case), naive_train(case)
    assert found.error is None and found.steps == case.steps
    assert_close(found.weights, expected.weights, tolerance(case))
    for report, step in zip(found.log.reports[case.accumulate - 1 :: case.accumulate], expected.steps, strict=True):
        if step is None:
            assert report is None or not report.counts_K.any()
            continue
        assert report.counts_K.tolist() == step.counts_K.tolist()
        assert (report.gram_KK is None) == (case.rule not in GRAM), "formed where a rule reads it"
        assert (report.norms_K is None) == (case.mode == "weighted")
        if report.norms_K is not None:
            torch.testing.assert_close(report.norms_K, step.gram_KK.diagonal().sqrt(), rtol=1e-5, atol=1e-7)
        if case.rule != "agr_sum":
            torch.testing.assert_close(report.weights_K, step.weights_K, rtol=1e-5, atol=1e-7)


def test_hooks_fire_once_whatever_the_number_of_passes():
    micro = ["before_backward", "after_backward"]
    for case in WAYS.values():
        accumulate = 1 if case.mode == "replay" else 3
        log = train(0, 1, replace(case, accumulate=accumulate, steps=2)).log
        assert log.events == [*micro * accumulate, "before_step"] * 2


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("scale", [None, 2.0**12], ids=["plain", "scaler"])
def test_before_the_step_the_gradient_is_combined_unscaled_and_unclipped(name, scale):
    """A clip that would show, and a scale that would show more."""
    case = replace(WAYS[name], clip=1e-3, scale=scale, steps=1, dtype=torch.float32, plugins=WAYS[name].mode != "replay")
    expected = naive_train(case).steps[0].gradients
    [seen] = train(0, 1, case).log.seen
    assert_close({k.removeprefix("toy."): v for k, v in seen.items()}, expected, 1e-6)


@pytest.mark.parametrize("clip", [1e-3, 1e9], ids=["clips", "never"])
def test_clipping_acts_on_the_combined_gradient(clip):
    """With SGD without momentum's memory (one step), what moved is the clipped gradient."""
    case = Case(rule="upgrad", optimizer="sgd", steps=1, clip=clip)
    free, bound = train(0, 1, replace(case, clip=None)), train(0, 1, case)
    assert (clip > 1) == all(torch.equal(bound.weights[k], v) for k, v in free.weights.items())


@pytest.mark.parametrize("name", WAYS)
def test_the_scale_does_not_matter(name):
    """To the last bit, for a power of two costs no rounding."""
    case = replace(WAYS[name], dtype=torch.float32, holes=NOT_EMPTY, plugins=WAYS[name].mode != "replay")
    plain, small, large = (train(0, 1, replace(case, scale=scale)) for scale in (None, 2.0**10, 2.0**16))
    assert (small.scale, large.scale) == (2.0**10, 2.0**16), "nothing was skipped"
    assert_same(small.weights, plain.weights)
    assert_same(large.weights, plain.weights)


@pytest.mark.parametrize("name", WAYS)
def test_every_pass_runs_in_the_precision_context(name):
    """In float16 the run is near the one in float32, and not the same."""
    case = replace(WAYS[name], dtype=torch.float32, scale=2.0**8, holes=NOT_EMPTY, optimizer="sgd")
    exact, half = train(0, 1, case), train(0, 1, replace(case, half=True))
    assert half.error is None and half.scale == 2.0**8
    assert 1e-6 < largest_difference(half.weights, exact.weights) < 1e-2


@pytest.mark.parametrize("name", WAYS)
def test_an_empty_window_under_a_scaler_moves_nothing(name):
    found = train(0, 1, replace(WAYS[name], scale=2.0**10, dtype=torch.float32, holes=(4,)))
    assert found.error is None and torch.equal(found.log.after[4], found.log.after[3])


@pytest.mark.parametrize("mode", ["weighted", "per_stratum"])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("options", [{}, {"plugins": True}, {"couples_rows": True, "parts": 1}], ids=str)
def test_a_probe_changes_nothing(mode, accumulate, options):
    case = Case(mode=mode, accumulate=accumulate, **options)
    probed, plain = train(0, 1, replace(case, probe_every=2)), train(0, 1, case)
    assert_same(probed.weights, plain.weights)
    assert probed.passes == plain.passes, "buffers are as they were"
    grams = [report.gram_KK for report in probed.log.reports[accumulate - 1 :: accumulate]]
    assert [gram is not None for gram in grams] == [False, True] * 3
    for gram_KK, step in zip(grams, naive_train(case).steps, strict=True):
        if gram_KK is not None and step is not None:
            torch.testing.assert_close(gram_KK, step.gram_KK)


def test_a_bad_number_stops_in_one_line():
    for case in WAYS.values():
        found = train(0, 1, replace(case, spoil=(2, 1, 0)))
        assert found.error is not None and "\n" not in found.error
        assert found.error.startswith("training diverged") and "after step 3" in found.error
        assert found.steps == 2


@pytest.mark.parametrize("name", WAYS)
def test_the_scaler_skips_a_bad_number_and_halves_once(name):
    case = replace(WAYS[name], scale=2.0**12, dtype=torch.float32, spoil=(2, 1, 0), holes=NOT_EMPTY)
    found = train(0, 1, case)
    assert found.error is None and found.steps == case.steps and found.scale == 2.0**11
    assert torch.equal(found.log.after[2], found.log.after[1]) and not torch.equal(found.log.after[3], found.log.after[2])
    assert [report is None for report in found.log.reports] == [False, False, True, False, False, False]
