"""Several steps with an optimiser: ranks stay bit-identical, W ranks follow one, clipping comes last, a resumed run goes on."""

import pytest
import torch

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.core.errors import UserError
from ltrec.core.sumcount import SumCount
from tests.support.closeness import assert_close, assert_same
from tests.support.engine_run import MODES, bench, ran
from tests.support.naive_strata import naive_step
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear, ToyWatching
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded

pytestmark = threaded_or_skip
PRIOR_K = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
OPTIMIZERS = {
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.1),
}
every_way = pytest.mark.parametrize(
    "make_rule,mode",
    [(rule, mode) for rule in (ToyLinear, ToyWatching, ToyGram, ToyCoordinate) for mode in MODES[rule.kind]],
    ids=lambda x: getattr(x, "__name__", x),
)


def window_of(step, world=3, micros=2):
    """Holes that move: one rank and one stratum are missing in turn."""
    full = crowded(world, 3, micros, seed=step).at(step)
    return full.without(lambda row: (world > 1 and row.rank == step % world) or row.stratum == (step // 2) % 3)


def parameters_of(stage):
    return {name: p.detach().clone() for name, p in stage.named_parameters()}


def train(rank, windows, made, optimizer, clip=None):
    """One optimiser step per window; a rule that watches losses is shown them, as the strategies do."""
    for window in windows:
        made.step(window.batches(rank))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(made.stage.parameters(), clip)
        optimizer.step()
        made.engine.observe(made.engine.total_losses())
    return parameters_of(made.stage)


def trained(world, windows, make_rule, mode, optimizer, **options):
    def on_rank(rank):
        made = bench(3, make_rule(PRIOR_K), mode, **options)
        return train(rank, windows, made, OPTIMIZERS[optimizer](made.stage.parameters()))

    return on_ranks(world, on_rank)


@every_way
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ranks_stay_identical_and_follow_one_rank(make_rule, mode, optimizer):
    """Invariants 10, 11, 16: six steps, two micro-batches each, against one rank with one big batch."""
    windows = [window_of(step) for step in range(6)]
    many = trained(3, windows, make_rule, mode, optimizer, plugins=mode != "replay")
    [alone] = trained(1, [w.alone() for w in windows], make_rule, mode, optimizer, plugins=mode != "replay")
    for parameters in many:
        assert_same(parameters, many[0])
        assert_close(parameters, alone, 1e-10)
    start = parameters_of(ToyStage(3, plugins=mode != "replay"))
    still = {name for name, value in start.items() if torch.equal(value, alone[name])}
    assert still == ({"frozen", "unused"} if optimizer == "momentum" else {"frozen"}), "AdamW decays what has a gradient, though 0"


def test_clipping_comes_after_combining():
    """Invariant 12: g * min(1, c / |g|) of the combined gradient, by norm and by value, and |g|^2 = w^T A w without plugins."""
    window = crowded(3, 3, 1)
    true = naive_step(ToyStage(3), window.all_batches(), lambda a, n: ToyGram(PRIOR_K).weights(a, n, 0), toy_owner, PRIOR_K)
    norm = sum((g**2).sum() for g in true.gradients.values()).sqrt()

    def on_rank(rank):
        made = bench(3, ToyGram(PRIOR_K), "per_stratum")
        made.step(window.batches(rank))
        report = made.engine.report
        found = torch.nn.utils.clip_grad_norm_(made.stage.parameters(), float(norm) / 2)
        by_norm = made.gradients()
        torch.nn.utils.clip_grad_value_(made.stage.parameters(), 1e-3)
        return found, by_norm, made.gradients(), report

    for found, by_norm, by_value, report in on_ranks(3, on_rank):
        torch.testing.assert_close(found, norm, rtol=1e-12, atol=0)
        torch.testing.assert_close((report.weights_K @ report.gram_KK @ report.weights_K).sqrt(), norm, rtol=1e-12, atol=0)
        assert_close(by_norm, {name: g / 2 for name, g in true.gradients.items()}, 1e-6)  # torch adds 1e-6 to the norm
        assert max(float(g.abs().max()) for g in by_value.values()) == 1e-3


@every_way
def test_half_batches_add_up_to_one(make_rule, mode):
    """Invariant 11: whatever the cut into micro-batches, the gradient is the window's."""
    whole = crowded(2, 3, 3)
    once = ran(whole.packed_into(1), lambda: make_rule(PRIOR_K), mode)[0].gradients
    assert_close(ran(whole, lambda: make_rule(PRIOR_K), mode)[0].gradients, once)
    assert_close(ran(whole.packed_into(2), lambda: make_rule(PRIOR_K), mode)[0].gradients, once)


@pytest.mark.parametrize("name", ["group_dro", "streaming_dro"])
@pytest.mark.parametrize("mode", MODES["linear"])
def test_a_resumed_rule_goes_on_as_if_nothing_had_happened(name, mode):
    """Invariant 21, the rule's part: bit for bit, on every rank; and without the state it would differ."""
    windows = [window_of(step, world=2) for step in range(8)]

    def made_and_optimizer(parameters=None, state=None):
        fields = {k: getattr(RULES[name].config(), k) for k in RULES[name].config.__dataclass_fields__ if k != "name"}
        rule = RULES[name].make(prior_K=PRIOR_K, empty=Hajek(PRIOR_K, torch.ones(3)), **fields)
        made = bench(3, rule, mode, prior_K=PRIOR_K)
        if parameters is not None:
            made.stage.load_state_dict(parameters, strict=False)  # the tied name is listed once
        if state is not None:
            rule.load_state_dict(state)
        return made, torch.optim.SGD(made.stage.parameters(), lr=0.5)

    def on_rank(rank):
        undisturbed = train(rank, windows, *made_and_optimizer())
        first, optimizer = made_and_optimizer()
        half = train(rank, windows[:4], first, optimizer)
        resumed = train(rank, windows[4:], *made_and_optimizer(half, first.engine.rule.state_dict()))
        forgetful = train(rank, windows[4:], *made_and_optimizer(half))
        return undisturbed, resumed, forgetful

    ranks = on_ranks(2, on_rank)
    for undisturbed, resumed, forgetful in ranks:
        assert_same(resumed, undisturbed)
        assert_same(undisturbed, ranks[0][0])
        assert any(not torch.equal(forgetful[n], undisturbed[n]) for n in undisturbed)


@pytest.mark.parametrize("mode", MODES["linear"])
def test_a_rule_sees_the_losses_of_all_ranks(mode):
    """Sums and counts of the finished window, the same everywhere; an absent stratum has count 0, not loss 0."""
    window = crowded(3, 3, 2).without(lambda row: row.stratum == 1)
    true = naive_step(ToyStage(3), window.all_batches(), lambda a, n: PRIOR_K, toy_owner, PRIOR_K)

    def on_rank(rank):
        made = bench(3, ToyWatching(PRIOR_K), mode)
        made.step(window.batches(rank))
        made.engine.observe(made.engine.total_losses())
        return made.engine.rule.seen

    ranks = on_ranks(3, on_rank)
    for [seen] in ranks:
        assert isinstance(seen, SumCount) and torch.equal(seen.count_K, true.counts_K.double()) and seen.count_K[1] == 0
        assert torch.equal(seen.sum_K, ranks[0][0].sum_K)
        assert_close({"sums": seen.sum_K}, {"sums": true.sums_K})


@pytest.mark.parametrize("mode", ["weighted", "per_stratum"])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_a_probe_looks_and_changes_nothing(world, mode):
    """For telemetry: the same update bit for bit, plugins and hooks included, and the true Gram matrix."""
    window = crowded(world, 3, 2)
    plain = ran(window, lambda: ToyLinear(PRIOR_K), mode, plugins=True)
    probed = ran(window, lambda: ToyLinear(PRIOR_K), mode, plugins=True, probe=True)
    true = naive_step(ToyStage(3, plugins=True), window.all_batches(), lambda a, n: PRIOR_K, toy_owner, PRIOR_K)
    for without, with_probe in zip(plain, probed, strict=True):
        assert_same(with_probe.gradients, without.gradients)
        assert torch.equal(with_probe.losses.sum_K, without.losses.sum_K), "losses are counted once"
        assert without.report.gram_KK is None
        assert_close({"gram": with_probe.report.gram_KK}, {"gram": true.gram_KK})
        assert_close({"norms": with_probe.report.norms_K}, {"norms": true.gram_KK.diagonal().sqrt()})


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("mode", ["per_stratum", "weighted"])
def test_parameters_of_every_sort(world, mode):
    """Invariant 15: frozen ones get no gradient, tied ones both uses' sum once, unused ones zeros, a stratum's own its share."""
    window = crowded(world, 3, 1)
    for rank in ran(window, lambda: ToyLinear(PRIOR_K), mode):
        stage, grads = rank.bench.stage, rank.gradients
        assert stage.frozen.grad is None and "frozen" not in grads
        assert "head" not in grads and stage.head.grad is stage.table.grad and grads["table"].any()
        assert not grads["unused"].any()
        apart = naive_step(ToyStage(3), window.all_batches(), lambda a, n: torch.eye(3)[0], toy_owner, PRIOR_K)
        assert_close({"own": grads["only_first"]}, {"own": PRIOR_K[0] * apart.gradients["only_first"]})


@pytest.mark.parametrize("mode", ["per_stratum", "weighted"])
def test_losses_of_the_window_are_this_rank_s_alone(mode):
    """`step_losses` is local and exact; reducing it is the caller's choice."""
    window = crowded(2, 3, 2)
    for number, rank in enumerate(ran(window, lambda: ToyLinear(PRIOR_K), mode)):
        local = naive_step(ToyStage(3), window.batches(number), lambda a, n: PRIOR_K, toy_owner, PRIOR_K)
        mine = rank.bench.engine.step_losses
        assert mine.sum_K.dtype == torch.float64 and torch.equal(mine.count_K, local.counts_K)
        assert_close({"sums": mine.sum_K}, {"sums": local.sums_K})


@pytest.mark.parametrize("make_rule", [ToyLinear, ToyGram])
@pytest.mark.parametrize("world", [1, 3])
def test_a_loss_scale_scales_the_gradients_and_no_decision(make_rule, world):
    """Invariant 13: the scaler's factor is in the update, to be unscaled, but neither in the Gram matrix nor in the weights."""
    window, scale = crowded(world, 3, 2), 2.0**16

    def on_rank(rank):
        made = bench(3, make_rule(PRIOR_K), "per_stratum", plugins=True)
        made.engine.open(window.batches(rank)[0], rows=True)
        for batch in window.batches(rank):
            made.engine.add_gradients(made.losses, batch, scale=lambda loss: loss * scale)
        norms_K = made.engine.norms(scale)
        made.engine.combine(window.step, made.engine.gram(scale))
        assert_close({"norms": made.engine.report.norms_K}, {"norms": norms_K})
        return made.gradients(), made.engine.report, made.engine.total_losses()

    plain = ran(window, lambda: make_rule(PRIOR_K), "per_stratum", plugins=True, probe=True)[0]
    for gradients, report, losses in on_ranks(world, on_rank):
        assert_same(gradients, {name: scale * g for name, g in plain.gradients.items()})  # a power of two rounds nothing
        assert torch.equal(report.gram_KK, plain.report.gram_KK) and torch.equal(report.weights_K, plain.report.weights_K)
        assert torch.equal(losses.sum_K, plain.losses.sum_K)


@pytest.mark.parametrize("weights", [[-0.2, 0.8, 0.4], [0.0, 0.6, 0.4]])
def test_plugins_do_not_follow_the_trunk_s_weights(weights):
    """Negative weights do not turn a plugin around; weight 0 would lose it in one weighted pass, which is refused on every rank."""

    def rule():
        made = ToyLinear(PRIOR_K)
        made.weights = lambda counts_K: torch.tensor(weights, dtype=torch.float64)
        return made

    def on_rank(rank):
        made = bench(3, rule(), "weighted", plugins=True)
        if 0.0 in weights:
            with pytest.raises(UserError, match="stratum 0 leaves its plugin untrained"):
                made.step(window.batches(rank))
            return None
        made.step(window.batches(rank))
        return made.gradients()

    window = crowded(2, 3, 1)
    literal = ran(window, rule, "per_stratum", plugins=True)
    for gradients, expected in zip(on_ranks(2, on_rank), literal, strict=True):
        if gradients is not None:
            assert_close(gradients, expected.gradients)
