"""What the meter writes is what a slow reader of the reports would say, never a NaN, and the same after a resume."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import SingleDeviceStrategy

import ltrec.run.train as training
from ltrec.core.sumcount import SumCount
from ltrec.distributed.report import StepReport
from ltrec.run import preflight
from ltrec.training.callbacks.telemetry import gradient_norm
from ltrec.training.strata_meter import StrataMeter
from tests.support.extra_callbacks import extra
from tests.support.tiny_run import lines_of, refuse_differences, tiny_config


def random_report(step, strata, generator, *, gram=True, absent=0.3):
    """Gradients of width 6, some strata empty, weights over those that are there."""
    counts_K = torch.randint(1, 40, (strata,), generator=generator).double()
    counts_K *= torch.rand(strata, generator=generator) > absent
    weights_K = torch.rand(strata, generator=generator, dtype=torch.float64) * (counts_K > 0)
    gradient_KN = torch.randn(strata, 6, generator=generator, dtype=torch.float64) * (counts_K > 0)[:, None]
    return StepReport(step, counts_K, weights_K, gradient_KN @ gradient_KN.T if gram else None, gradient_KN.norm(dim=1))


def formed(gradient_KN, weights_K=None):
    """The report of a step that saw these gradients of strata with one example each."""
    gradient_KN = torch.as_tensor(gradient_KN, dtype=torch.float64)
    one_K = torch.ones(len(gradient_KN), dtype=torch.float64)
    weights_K = one_K / len(one_K) if weights_K is None else torch.tensor(weights_K, dtype=torch.float64)
    return StepReport(0, one_K, weights_K, gradient_KN @ gradient_KN.T, gradient_KN.norm(dim=1))


def metered(reports):
    meter = StrataMeter()
    for report in reports:
        meter.add(report)
    return meter.line()


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def slow_line(reports):
    """The keys of the module's docstring, one number at a time."""
    strata = range(len(reports[0].counts_K))
    probed = [r for r in reports if r.gram_KK is not None]
    line, signs = {}, []
    for z in strata:
        line[f"strata/count/{z}"] = mean(float(r.counts_K[z]) for r in reports)
        line[f"strata/missing/{z}"] = mean(float(r.counts_K[z] == 0) for r in reports)
        line[f"strata/weight/{z}"] = mean(float(r.weights_K[z]) for r in reports)
        line[f"strata/grad_norm/{z}"] = mean(float(r.norms_K[z]) for r in reports if r.counts_K[z])
        for y in range(z):
            pairs = [r.gram_KK for r in probed if r.counts_K[y] and r.counts_K[z]]
            cosines = [float(a[y, z]) / math.sqrt(a[y, y] * a[z, z]) for a in pairs]
            line[f"strata/cosine/{y}-{z}"] = mean(cosines)
            signs += [float(c < 0) for c in cosines]
    sizes = []
    for r in reports:
        coefficient_N = [float(r.weights_K[z] / r.counts_K[z]) for z in strata for _ in range(int(r.counts_K[z]))]
        if any(coefficient_N):
            sizes.append(sum(coefficient_N) ** 2 / sum(c * c for c in coefficient_N))
    line |= {"strata/conflict": mean(signs), "strata/ess": mean(sizes)}
    return {key: value for key, value in line.items() if value is not None}


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**31), st.floats(0, 0.9))
def test_the_line_is_what_a_slow_reader_would_say(strata, steps, seed, absent):
    generator = torch.Generator().manual_seed(seed)
    reports = [random_report(t, strata, generator, gram=t % 2 == 0, absent=absent) for t in range(steps)]
    line, expected = metered(reports), slow_line(reports)
    assert line == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert json.loads(json.dumps(line, allow_nan=False)) == line


@settings(max_examples=20)
@given(st.integers(0, 5), st.integers(0, 2**31))
def test_a_meter_that_was_saved_goes_on_bit_for_bit(cut, seed):
    generator = torch.Generator().manual_seed(seed)
    reports = [random_report(t, 3, generator, gram=t % 3 == 1) for t in range(5)]
    before, after = StrataMeter(), StrataMeter()
    for report in reports[:cut]:
        before.add(report)
    after.load_state_dict(before.state_dict())
    for report in reports[cut:]:
        after.add(report)
    assert after.line() == metered(reports)


def test_the_effective_size_is_the_batch_for_natural_weights_and_falls_as_they_lean():
    counts_K = torch.tensor([10.0, 30.0, 60.0], dtype=torch.float64)

    def size(*weights):
        return metered([StepReport(0, counts_K, torch.tensor(weights, dtype=torch.float64), None)])["strata/ess"]

    assert size(0.1, 0.3, 0.6) == pytest.approx(100)
    assert size(1, 3, 6) == pytest.approx(100), "scale does not matter"
    assert size(1, 0, 0) == pytest.approx(10)
    assert 10 < size(0.6, 0.3, 0.1) < 40


def test_the_effective_size_with_weights_of_events_is_that_of_the_coefficients():
    weights = [[1.0, 3.0, 0.5], [2.0, 2.0]]
    sums = torch.tensor([sum(own) for own in weights], dtype=torch.float64)
    squares = torch.tensor([sum(m * m for m in own) for own in weights], dtype=torch.float64)
    share_K, counts_K = torch.tensor([0.7, 0.3], dtype=torch.float64), torch.tensor([3.0, 2.0], dtype=torch.float64)
    report = StepReport(0, counts_K, share_K, None, effective_K=sums**2 / squares)
    coefficients = [float(share_K[z] / sums[z]) * m for z, own in enumerate(weights) for m in own]
    expected = sum(coefficients) ** 2 / sum(c * c for c in coefficients)
    assert metered([report])["strata/ess"] == pytest.approx(expected, rel=1e-12)
    assert expected < metered([replace(report, effective_K=None)])["strata/ess"], "counts alone would say more"


def test_conflict_counts_pairs_and_cosines_keep_to_their_bounds():
    report = formed([[1.0, 0], [-1, 0], [0, 1e-9]])
    line = metered([replace(report, gram_KK=report.gram_KK * (1 + 1e-15))])
    assert [line[f"strata/cosine/{p}"] for p in ("0-1", "0-2", "1-2")] == [-1, 0, 0]
    assert line["strata/conflict"] == pytest.approx(1 / 3)


def test_a_zero_gradient_has_a_norm_but_no_direction():
    line = metered([formed([[1.0, 0], [0, 0]])])
    assert line["strata/grad_norm/1"] == 0
    assert not {"strata/cosine/0-1", "strata/conflict"} & line.keys()


def test_norms_are_known_also_where_no_gram_matrix_was_formed():
    report = formed([[3.0, 4], [0, 2]])
    line = metered([replace(report, gram_KK=None), replace(report, gram_KK=None)])
    assert [line[f"strata/grad_norm/{z}"] for z in range(2)] == [5, 2]
    assert not {"strata/cosine/0-1", "strata/conflict"} & line.keys()


def test_what_is_not_known_has_no_key():
    nan = torch.full((2,), torch.nan, dtype=torch.float64)
    counts_K = torch.tensor([3.0, 0.0], dtype=torch.float64)
    assert metered([]) == {}
    assert metered([StepReport(0, counts_K, nan, None)]) == {
        "strata/count/0": 3, "strata/count/1": 0, "strata/missing/0": 0, "strata/missing/1": 1
    }  # fmt: skip
    line = metered([formed([[1.0, 0], [torch.inf, 0]])])
    assert line["strata/grad_norm/0"] == 1
    assert not {"strata/grad_norm/1", "strata/cosine/0-1", "strata/conflict"} & line.keys()


def test_a_step_of_no_numbers_does_not_spoil_the_others():
    good = formed([[1.0, 0], [0, 1]], weights_K=[0.25, 0.75])
    lost = formed(torch.full((2, 2), torch.nan), weights_K=[torch.nan] * 2)
    for reports in ([good, lost], [lost, good]):
        assert metered(reports) == metered([good])


def test_skipped_steps_are_counted_and_nothing_else():
    good = formed([[1.0, 0], [0, 1]], weights_K=[0.25, 0.75])
    assert metered([None, None]) == {"strata/skipped": 2}
    assert metered([None, good, None]) == {"strata/skipped": 2, **metered([good])}


def test_a_report_that_is_reused_by_its_owner_does_not_change_the_sums():
    report = StepReport(0, torch.ones(2).double(), torch.ones(2).double(), None)
    meter = StrataMeter()
    meter.add(report)
    before = meter.line()
    report.counts_K.add_(5)
    report.weights_K.zero_()
    assert meter.line() == before


class Reporting(SingleDeviceStrategy):
    """Plain training that claims strata: reports are a function of the step, a Gram matrix on every second."""

    report = None
    skipped = ()
    empty = ()

    def training_step(self, *args):
        step = args[0].step
        self.report = None if step in self.skipped else report_of(step)
        return super().training_step(*args)

    def metrics(self):
        return {"strata/fallbacks": 7}

    @property
    def step_losses(self):
        losses = self.lightning_module.step_losses
        if self.report is not None and self.report.step in self.empty:
            return None
        return losses if self.report is not None else SumCount(losses.sum_K * torch.nan, losses.count_K)


def report_of(step):
    return random_report(step, 3, torch.Generator().manual_seed(step), gram=step % 2 == 0)


@pytest.fixture
def reporting(monkeypatch):
    monkeypatch.setattr(preflight, "build_strategy", lambda *_: Reporting(torch.device("cpu")))


class StopAt(Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 5:
            raise KeyboardInterrupt


def test_telemetry_writes_the_line_of_every_report_since_the_last(data, tmp_path, reporting):
    training.train(tiny_config(data, tmp_path, "trainer.max_epochs=2"))
    lines = [line for line in lines_of(tmp_path / "r") if "train/loss" in line]
    assert [line["step"] for line in lines] == [3, 6]
    for line in lines:
        steps = range(line["step"] - 3, line["step"])
        assert strata_of(line) == pytest.approx(slow_line([report_of(t) for t in steps]), rel=1e-12)


def strata_of(line):
    """What the meter says; the strategy adds a number of its own to every line."""
    assert line["strata/fallbacks"] == 7
    return {key: value for key, value in line.items() if key.startswith("strata/") and key != "strata/fallbacks"}


def test_what_a_skipped_step_lost_is_in_no_line(data, tmp_path, reporting, monkeypatch):
    monkeypatch.setattr(Reporting, "skipped", (1, 3, 4, 5))
    training.train(tiny_config(data, tmp_path, "trainer.max_epochs=2"))
    first, second = (line for line in lines_of(tmp_path / "r") if "lr" in line)
    assert strata_of(first) == pytest.approx({"strata/skipped": 1, **slow_line([report_of(0), report_of(2)])}, rel=1e-12)
    assert math.isfinite(first["train/loss"])
    assert strata_of(second) == {"strata/skipped": 3}
    assert not [key for key in second if key.startswith("train/loss")]


def test_a_rank_without_examples_still_writes_and_adds_nothing(data, tmp_path, reporting, monkeypatch):
    """On many ranks a line is a collective: one that stayed away would leave the others waiting."""
    training.train(tiny_config(data, tmp_path / "full", "trainer.log_every_steps=1", "trainer.max_epochs=1"))
    monkeypatch.setattr(Reporting, "empty", (0, 2))
    training.train(tiny_config(data, tmp_path / "holed", "trainer.log_every_steps=1", "trainer.max_epochs=1"))
    full, holed = ([line for line in lines_of(tmp_path / name / "r") if "lr" in line] for name in ("full", "holed"))
    assert ["train/loss" in line for line in holed] == [False, True, False, True]
    assert (holed[1], holed[3]) == (full[1], full[3])


def test_a_module_without_gradients_has_no_norm():
    module = torch.nn.Linear(2, 1)
    assert gradient_norm(module) == {}
    module.weight.grad = torch.tensor([[3.0, 4.0]])
    assert gradient_norm(module) == {"grad_norm": 5.0}


def test_a_resumed_run_writes_the_same_lines(data, tmp_path, reporting, monkeypatch):
    training.train(tiny_config(data, tmp_path / "good"))
    with extra(StopAt()), pytest.raises(KeyboardInterrupt):
        training.train(tiny_config(data, tmp_path / "stopped"))
    training.train(tiny_config(data, tmp_path / "stopped"))
    refuse_differences(tmp_path / "stopped" / "r", tmp_path / "good" / "r")


def test_a_run_without_strata_has_none(data, tmp_path):
    training.train(tiny_config(data, tmp_path, "trainer.max_epochs=1"))
    assert [[key for key in line if key.startswith("strata/")] for line in lines_of(tmp_path / "r")] == [[], []]
