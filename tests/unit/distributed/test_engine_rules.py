"""Every rule of the table inside the engine: on shards of several ranks it decides what it decides on one process's matrix."""

from dataclasses import asdict

import pytest
import torch

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.causal.horvitz_thompson import HorvitzThompson
from ltrec.core.hashing import mix
from tests.support.closeness import assert_close, assert_same
from tests.support.engine_run import MODES, bench, ran
from tests.support.naive_strata import naive_step
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear, renormalised
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded

pytestmark = threaded_or_skip
PRIOR_K = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1], dtype=torch.float64)
CONSTANT = {"constant": {"weights": (0.1, 0.2, 0.3, 0.2, 0.2)}}
every_world = pytest.mark.parametrize("world", [1, 2, 3, 4])


def build(name):
    options = {field: value for field, value in asdict(RULES[name].config()).items() if field != "name"} | CONSTANT.get(name, {})
    return RULES[name].make(prior_K=PRIOR_K, empty=Hajek(PRIOR_K, torch.ones(5)), **options)


def holey(world):
    """Stratum 3 is nowhere, stratum 1 on the last rank alone."""
    return crowded(world, 5, 2).without(lambda row: row.stratum == 3 or (row.stratum == 1 and row.rank < world - 1))


def alone(window, name):
    """What the rule says to the matrix of one process, and what follows."""
    rule, key = build(name), mix(0, window.step)

    def weights(gram_KK, counts_K):
        return rule.weights(gram_KK, counts_K, key) if rule.kind == "gram" else rule.weights(counts_K)

    return naive_step(ToyStage(5), window.all_batches(), weights, toy_owner, PRIOR_K)


@every_world
@pytest.mark.parametrize("name", [*RULES.where("kind", "linear"), *RULES.where("kind", "gram")])
def test_weights_are_those_of_one_process(name, world):
    """Invariant 7, in every mode. Solvers iterate to their own tolerance; a matrix off by rounding may shift their last digits."""
    window, tolerance = holey(world), 1e-12 if RULES[name].kind == "linear" else 1e-6
    true = alone(window, name)
    for mode in MODES[build(name).kind]:
        for rank in ran(window, lambda: build(name), mode, prior_K=PRIOR_K):
            assert rank.report.weights_K[3] == 0, "an empty stratum never receives weight"
            assert_close({"w": rank.report.weights_K}, {"w": true.weights_K}, tolerance)
            assert_close(rank.gradients, true.gradients, tolerance)


@every_world
@pytest.mark.parametrize("name", RULES.where("kind", "coordinate"))
def test_coordinate_rules_combine_shards_alone(name, world):
    window = holey(world)
    true = alone(window, "uniform")
    expected = {}
    for parameter in true.gradients:
        rows = torch.stack([g[parameter].flatten() for g in stratum_gradients(window)])
        expected[parameter] = build(name).combine(rows, true.counts_K.double()).view(true.gradients[parameter].shape)
    for rank in ran(window, lambda: build(name), "per_stratum", prior_K=PRIOR_K):
        assert_close(rank.gradients, expected)
        assert rank.report.weights_K.isnan().all()


def stratum_gradients(window):
    for stratum in range(5):
        one_K = torch.nn.functional.one_hot(torch.tensor(stratum), 5).double()
        yield naive_step(ToyStage(5), window.all_batches(), lambda gram, n, one_K=one_K: one_K, toy_owner, PRIOR_K).gradients


@every_world
def test_a_toy_rule_by_coordinate_with_plugins(world):
    """The trunk is combined by coordinate, a plugin still gets P(z) G_z."""
    window = holey(world)
    rows = [
        naive_step(ToyStage(5, plugins=True), window.all_batches(), lambda g, n, z=z: torch.eye(5)[z], toy_owner, PRIOR_K)
        for z in range(5)
    ]
    weights_K = renormalised(PRIOR_K, rows[0].counts_K)
    for rank in ran(window, lambda: ToyCoordinate(PRIOR_K), "per_stratum", plugins=True):
        for name, gradient in rank.gradients.items():
            trunk = sum(w * torch.tanh(row.gradients[name]) for w, row in zip(weights_K.tolist(), rows, strict=True))
            torch.testing.assert_close(gradient, trunk if toy_owner(name) is None else rows[0].gradients[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_a_window_with_nothing_in_it_is_no_trouble(name):
    nothing = crowded(2, 5, 1).without(lambda row: True)
    for rank in ran(nothing, lambda: build(name), "per_stratum", prior_K=PRIOR_K):
        assert rank.gradients is None and (RULES[name].kind == "coordinate" or not rank.report.weights_K.any())


class Moody(ToyGram):
    """A rule that says something else on every rank, as one does that draws from the global generator."""

    def __init__(self, prior_K, rank):
        super().__init__(prior_K)
        self.rank = rank

    def weights(self, gram_KK, counts_K, key):
        return torch.roll(super().weights(gram_KK, counts_K, key), self.rank)


@pytest.mark.parametrize("mode", MODES["gram"])
def test_one_rank_s_answer_is_everybody_s(mode):
    def on_rank(rank):
        made = bench(5, Moody(PRIOR_K, rank), mode)
        made.step(window.batches(rank))
        return made.engine.report.weights_K, made.gradients()

    window = crowded(4, 5, 1)
    first = ran(window, lambda: ToyGram(PRIOR_K), mode)[0]
    for weights_K, gradients in on_ranks(4, on_rank):
        assert torch.equal(weights_K, first.report.weights_K)
        assert_same(gradients, first.gradients)


def test_the_key_of_a_rule_s_randomness_is_the_step_s():
    """A function of seed and step: a resumed run and every rank draw alike, two steps do not."""
    made = bench(5, ToyGram(PRIOR_K), "per_stratum")
    for _ in range(2):
        made.step(crowded(1, 5, 1).batches(0))
    made.step(crowded(1, 5, 1).at(8).batches(0))
    first, again, later = made.engine.rule.keys
    assert first == again == mix(0, 7) and later == mix(0, 8)


@every_world
@pytest.mark.parametrize("mode", MODES["linear"])
def test_horvitz_thompson_is_a_fixed_coefficient_per_example(world, mode):
    """Invariant 8, additivity: c_z = P(z) / E[N_z] whatever came, so micro-batches run as windows of their own add up to it."""
    window = holey(world)
    estimator = HorvitzThompson(PRIOR_K, torch.tensor([9.0, 8.0, 7.0, 6.0, 5.0], dtype=torch.float64))
    stage = ToyStage(5)
    for batch in window.all_batches():
        example = stage.losses(batch)
        (estimator.coefficients_K[example.stratum_N] * example.loss_N).sum().backward()
    expected = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in stage.named_parameters() if p.requires_grad}
    whole = ran(window, lambda: estimating(estimator), mode, prior_K=PRIOR_K)[0].gradients
    assert_close(whole, expected)
    parts = [ran(window.of_micro(micro), lambda: estimating(estimator), mode, prior_K=PRIOR_K)[0].gradients for micro in range(2)]
    assert_close({name: parts[0][name] + parts[1][name] for name in expected}, expected)


def estimating(estimator):
    rule = ToyLinear(PRIOR_K)
    rule.weights = estimator
    return rule
