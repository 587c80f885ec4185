"""The engine against its definition: random windows on one to four ranks, every mode, float64 to 1e-12."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.closeness import assert_close, assert_same, largest_difference
from tests.support.engine_run import MODES, bench, ran
from tests.support.naive_strata import naive_step
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_rules import ToyGram, ToyLinear, renormalised
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded, windows

pytestmark = threaded_or_skip
few = settings(max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
every_way = pytest.mark.parametrize(
    "make_rule,mode",
    [(rule, mode) for rule in (ToyLinear, ToyGram) for mode in MODES[rule.kind]],
    ids=lambda x: getattr(x, "kind", x),
)


def prior(strata):
    """Shares that are all different."""
    shares_K = torch.arange(1, strata + 1, dtype=torch.float64) ** -0.5
    return shares_K / shares_K.sum()


def expected(window, make_rule, **stage_options):
    """The naive step. The rule is asked as the engine would ask it."""
    rule, prior_K = make_rule(prior(window.strata)), prior(window.strata)

    def weights(gram_KK, counts_K):
        return rule.weights(counts_K) if rule.kind == "linear" else rule.weights(gram_KK, counts_K, 0)

    return naive_step(ToyStage(window.strata, **stage_options), window.all_batches(), weights, toy_owner, prior_K)


def run(window, make_rule, mode, **options):
    return ran(window, lambda: make_rule(prior(window.strata)), mode, **options)


@given(windows())
@few
def test_the_reference_does_not_care_where_rows_lie(window):
    """And its gradient with w_z = N_z / N is the plain mean gradient: the reference itself is checked against less."""
    one, many = expected(window.alone(), ToyLinear), expected(window, ToyLinear)
    assert_close(one.gradients, many.gradients)
    assert_close({"gram": one.gram_KK, "sums": one.sums_K}, {"gram": many.gram_KK, "sums": many.sums_K})
    assert torch.equal(one.counts_K, many.counts_K)


@every_way
@pytest.mark.parametrize("source", ["split", "retained"])
@given(window=windows())
@few
def test_every_mode_and_source_is_the_definition(make_rule, mode, source, window):
    """Invariants 1, 2, 5, 6, 9: uneven ranks, empty ranks, missing strata, N not divisible by W, rows of no stratum."""
    true = expected(window, make_rule)
    found = run(window, make_rule, mode, source=source)
    for rank in found:
        if not true.counts_K.any():
            assert rank.gradients is None or largest_difference(rank.gradients, {n: 0 * g for n, g in true.gradients.items()}) == 0
            continue
        assert_close(rank.gradients, true.gradients)
        assert_same(rank.gradients, found[0].gradients)
        assert torch.equal(rank.report.counts_K, true.counts_K.double())
        assert torch.equal(rank.report.weights_K, found[0].report.weights_K)
        assert_close({"weights": rank.report.weights_K}, {"weights": true.weights_K})
        assert_close({"sums": rank.losses.sum_K}, {"sums": true.sums_K})
        if mode != "weighted":
            assert_close({"norms": rank.report.norms_K}, {"norms": true.gram_KK.diagonal().sqrt()})
        if make_rule is ToyGram:
            assert_close({"gram": rank.report.gram_KK}, {"gram": true.gram_KK})
        else:
            assert rank.report.gram_KK is None, "nobody reads it"


@pytest.mark.parametrize("make_rule,mode", [(ToyLinear, "per_stratum"), (ToyLinear, "weighted"), (ToyGram, "per_stratum")])
@given(window=windows(strata=(2, 5)))
@few
def test_plugins_follow_their_own_stratum(make_rule, mode, window):
    """P(z) G_z of its own stratum, in every mode and under every rule; the Gram matrix is the trunk's. (Replay refuses plugins.)"""
    true = expected(window, make_rule, plugins=True)
    for rank in run(window, make_rule, mode, plugins=True):
        if true.counts_K.any():
            assert_close(rank.gradients, true.gradients)
            assert_close({"weights": rank.report.weights_K}, {"weights": true.weights_K})


@every_way
@given(window=windows(strata=(2, 5)))
@few
def test_coupled_rows_need_the_retained_graph(make_rule, mode, window):
    true = expected(window, make_rule, couples_rows=True)
    for rank in run(window, make_rule, mode, source="retained", couples_rows=True):
        if true.counts_K.any():
            assert_close(rank.gradients, true.gradients)


def test_coupled_rows_run_apart_are_wrong():
    """Why a stage that couples rows is refused the split source: its negatives would come from one stratum alone."""
    window = crowded(world=2, strata=3, micros=1)
    true = expected(window, ToyLinear, couples_rows=True)
    found = run(window, ToyLinear, "per_stratum", source="split", couples_rows=True)
    assert largest_difference(found[0].gradients, true.gradients) > 1e-2


@every_way
@given(window=windows(worlds=(2, 3, 4)), data=st.data())
@few
def test_names_of_ranks_and_strata_change_only_rounding(make_rule, mode, window, data):
    """Invariant 3."""
    ranks = data.draw(st.permutations(range(window.world)))
    reranked = run(window.reranked(ranks), make_rule, mode)
    base = run(window, make_rule, mode)
    if base[0].report.counts_K.any():
        assert_close(reranked[0].gradients, base[0].gradients)
    order = data.draw(st.permutations(range(window.strata)))
    prior_K = torch.empty(window.strata, dtype=torch.float64)
    prior_K[order] = prior(window.strata)
    moved = ran(window.relabelled(order), lambda: make_rule(prior_K), mode, first=order[0])[0]
    if base[0].report.counts_K.any():
        assert_close({"weights": moved.report.weights_K[order]}, {"weights": base[0].report.weights_K})
        assert_close(moved.gradients, base[0].gradients)


@given(windows(strata=(1, 2, 5, 10), nobody=False))
@few
def test_shares_of_the_window_give_the_plain_mean_gradient(window):
    """Invariant 4: P(z) = N_z / N, and K = 1 whatever P is, are ordinary training."""
    stage = ToyStage(window.strata)
    sum(batch_loss.loss_N.sum() for batch_loss in map(stage.losses, window.all_batches())).backward()
    total = sum(len(row.items) - 1 for row in window.rows)
    plain = {n: torch.zeros_like(p) if p.grad is None else p.grad / total for n, p in stage.named_parameters() if p.requires_grad}
    counts_K = sum(batch.step_counts_K for batch in [window.batches(r)[0] for r in range(window.world)])
    for mode in MODES["linear"]:
        found = ran(window, lambda: ToyLinear(counts_K.double() / total), mode)
        assert_close(found[-1].gradients, plain)


@given(windows(strata=(2, 5)))
@few
def test_two_strata_of_one_population_may_be_merged(window):
    """Invariant 3: strata whose prior shares are as their counts act as one."""
    merged = [0, *range(window.strata - 1)]
    counts_K = expected(window, ToyLinear).counts_K.double()
    prior_K = prior(window.strata)
    both = counts_K[0] + counts_K[1]
    if not both:
        return
    prior_K[:2] = prior_K[:2].sum() * counts_K[:2] / both
    together_K = torch.cat([prior_K[:2].sum()[None], prior_K[2:]])
    joined = window.merged(merged)
    apart = ran(window, lambda: ToyLinear(prior_K), "per_stratum", first=-2)[0]
    one = ran(joined, lambda: ToyLinear(together_K), "per_stratum", first=-2)[0]
    assert_close(one.gradients, apart.gradients)


def naive_ddp(window, prior_K):
    """What a stage trained under plain DDP would do: weigh this rank's means, average over ranks."""
    mean = None
    for rank in range(window.world):
        stage = ToyStage(window.strata)
        [batch] = window.batches(rank)
        example = stage.losses(batch)
        counts_K = torch.bincount(example.stratum_N, minlength=window.strata)
        sums_K = torch.zeros(window.strata, dtype=torch.float64).index_add(0, example.stratum_N, example.loss_N)
        (renormalised(prior_K, counts_K) * sums_K / counts_K.clamp(min=1)).sum().backward()
        mine = {
            n: (torch.zeros_like(p) if p.grad is None else p.grad) / window.world
            for n, p in stage.named_parameters()
            if p.requires_grad
        }
        mean = mine if mean is None else {name: mean[name] + mine[name] for name in mine}
    return mean


def test_means_of_ranks_are_not_the_mean():
    """Averaging per-rank stratum means over ranks, the way it is usually done, is another quantity; with equal counts it is not."""
    window = crowded(world=2, strata=3, micros=1)
    true = expected(window, ToyLinear).gradients
    assert largest_difference(naive_ddp(window, prior(3)), true) > 1e-2
    assert_close(run(window, ToyLinear, "weighted")[0].gradients, true)
    even = crowded(world=2, strata=3, micros=1, length=4)
    assert largest_difference(naive_ddp(even, prior(3)), expected(even, ToyLinear).gradients) < 1e-12


def test_a_linear_rule_is_inverse_propensity_weighting():
    """sum_z w_z G_z in K passes is the gradient of sum_i (w_z(i) / N_z(i)) l_i in one."""
    window = crowded(world=3, strata=5, micros=2)
    stage, true = ToyStage(5), expected(window, ToyLinear)
    coefficient_K = true.weights_K / true.counts_K
    for batch in window.all_batches():
        example = stage.losses(batch)
        (coefficient_K[example.stratum_N] * example.loss_N).sum().backward()
    ipw = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in stage.named_parameters() if p.requires_grad}
    assert_close(run(window, ToyLinear, "per_stratum")[0].gradients, ipw)


def test_the_gram_matrix_says_what_it_must():
    """Invariant 5: symmetric, positive semi-definite, trace = sum |G_z|^2, w^T A w = |g|^2 over the trunk."""
    window = crowded(world=3, strata=5, micros=2)
    found = run(window, ToyGram, "per_stratum", plugins=True)[0]
    gram_KK, weights_K = found.report.gram_KK, found.report.weights_K
    assert torch.equal(gram_KK, gram_KK.T)
    assert torch.linalg.eigvalsh(gram_KK).min() > -1e-12
    trunk = sum(float((g**2).sum()) for name, g in found.gradients.items() if toy_owner(name) is None)
    assert abs(float(weights_K @ gram_KK @ weights_K) - trunk) < 1e-12


def test_collectives_meet_in_one_order_whatever_a_rank_lacks():
    """An empty rank and a stratum that lives on one rank alone take part in every collective (a mismatch would fail or hang)."""
    window = crowded(world=3, strata=5, micros=2)
    holes = window.without(lambda row: row.rank == 1 or (row.stratum == 2 and row.rank == 0))

    def on_rank(rank):
        made = bench(5, ToyGram(prior(5)), "per_stratum")
        made.step(holes.batches(rank))
        return made.engine.collectives.calls, made.engine.collectives.sent

    seen = on_ranks(3, on_rank)
    assert seen[0] == seen[1] == seen[2] and seen[0][0]["reduce_scatter"] == 10


def effective_sizes(window):
    """(sum m)^2 / sum m^2 of every stratum's weights, by loops."""
    weights = [[m for row in window.rows if row.stratum == z for m in row.weights if m] for z in range(window.strata)]
    sizes = [sum(own) ** 2 / sum(m * m for m in own) if own else 0.0 for own in weights]
    return torch.tensor(sizes, dtype=torch.float64)


@every_way
@pytest.mark.parametrize("source", ["split", "retained"])
@given(window=windows())
@few
def test_weights_and_events_that_are_no_targets(make_rule, mode, source, window):
    """N_z is the sum of weights beside the integer count; what weighs nothing is nowhere counted."""
    weighed = window.weighed()
    true = expected(weighed, make_rule, plugins=mode != "replay")
    for rank in run(weighed, make_rule, mode, source=source, plugins=mode != "replay"):
        assert rank.report.counts_K.tolist() == true.counts_K.tolist()
        assert torch.equal(rank.losses.count_K, true.counts_K.double())
        assert_close({"effective": rank.report.effective_K}, {"effective": effective_sizes(weighed)})
        assert_close({"N": rank.losses.weight_K, "sums": rank.losses.sum_K}, {"N": true.sizes_K, "sums": true.sums_K})
        if true.counts_K.any():
            assert_close(rank.gradients, true.gradients)
        else:
            assert rank.gradients is None
