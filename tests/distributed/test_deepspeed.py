"""Lightning over DeepSpeed ZeRO 1, 2, 3 in two gloo processes equals the naive definition in one: any window, any mode, five steps.

One pair of processes runs all cases; the tests then look at what it brought back.
"""

from dataclasses import replace

import pytest
import torch

from tests.support.deepspeed_run import (
    PRIOR_K,
    STEPS,
    STRATA,
    WORLD,
    Case,
    ToyModule,
    naive_run,
    optimizer_of,
    train,
    window,
)
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.toy_rules import ToyGram, renormalised

PLUGINS, COUPLED = {"plugins": True}, {"couples_rows": True}
CASES = {
    "linear": Case(),
    "linear-coupled": Case(micros=2, stage=COUPLED),
    "accumulate-clip": Case(micros=3, clip=0.05),
    "plugins-accumulate-clip": Case(micros=3, clip=0.05, stage=PLUGINS),
    "plugins-probe": Case(probe_every=2, stage=PLUGINS),
    "gram": Case(rule="gram"),
    "gram-coupled": Case(rule="gram", micros=2, stage=COUPLED),
    "gram-accumulate-clip": Case(rule="gram", micros=3, clip=0.05),
    "skip": Case(micros=2, poison=(1, 1), nonfinite="skip"),
    "skip-by-gradient": Case(poison=(1, 1), finite_loss=True, nonfinite="skip", stage=PLUGINS),
    "gram-skip": Case(rule="gram", poison=(1, 1), nonfinite="skip"),
    "weights": Case(micros=3, clip=0.05, weighed=True, stage=PLUGINS),
    "weights-gram": Case(rule="gram", micros=3, weighed=True),
    "dropout": Case(micros=2, dropout=0.3),
    "gram-dropout": Case(rule="gram", micros=2, dropout=0.3),
}
STOPPING = {
    "stop": Case(micros=2, poison=(1, 1)),
    "stop-by-gradient": Case(micros=2, poison=(1, 1), finite_loss=True),
    "gram-stop": Case(rule="gram", poison=(1, 1)),
}
REFUSED = {
    "coordinate": (Case(rule="coordinate"), "cannot run a coordinate-wise rule: it looks at every coordinate"),
    "per_stratum": (
        Case(mode="per_stratum"),
        "mode per_stratum is not possible with strategy stratified_deepspeed_stage_2; possible",
    ),
    "plugins": (Case(rule="gram", stage=PLUGINS), "replay cannot train plugins"),
    "half": (Case(precision="16-true"), "`precision`=16-true is not possible under DeepSpeed"),
}
FAST_STOPPING = [(1, "stop-by-gradient"), (3, "stop")]
FAST = {
    1: ["accumulate-clip", "skip"],
    2: ["plugins-accumulate-clip", "gram-dropout", "weights"],
    3: ["plugins-probe", "gram-accumulate-clip", "weights-gram"],
}
STAGES = (1, 2, 3)
EVERY = [
    pytest.param(stage, name, marks=[] if name in FAST[stage] else pytest.mark.slow, id=f"zero{stage}-{name}")
    for stage in STAGES
    for name in CASES
]


def train_all(rank, slow):
    act_as_rank(rank, WORLD)
    torch.manual_seed(rank)
    if slow:
        done = {
            (stage, name): train(case, stage, rank) for stage in STAGES for name, case in CASES.items() if name not in FAST[stage]
        }
        return done | {(stage, name): train(case, stage, rank) for stage in STAGES for name, case in STOPPING.items()}
    done = {(stage, name): train(CASES[name], stage, rank) for stage in STAGES for name in FAST[stage]}
    done |= {(2, name): train(case, 2, rank) for name, (case, _) in REFUSED.items()}
    return done | {(stage, name): train(STOPPING[name], stage, rank) for stage, name in FAST_STOPPING}


@pytest.fixture(scope="module")
def fast_runs(tmp_path_factory):
    return spawn(train_all, WORLD, tmp_path_factory.mktemp("deepspeed") / "store", False, timeout=240)


@pytest.fixture(scope="module")
def slow_runs(tmp_path_factory):
    return spawn(train_all, WORLD, tmp_path_factory.mktemp("deepspeed") / "store", True, timeout=240)


@pytest.fixture
def ranks(request):
    """(ZeRO stage, case) -> what each rank brought back."""
    slow = request.node.get_closest_marker("slow") is not None
    runs = request.getfixturevalue("slow_runs" if slow else "fast_runs")
    return lambda stage, name: [found[stage, name] for found in runs]


def gradients(module, losses, coefficients):
    """d (sum of coefficient times loss) / d parameter, by name; zeros where a parameter takes no part."""
    names = {name: p for name, p in module.named_parameters() if p.requires_grad}
    loss = sum((c * values).sum() for c, values in zip(coefficients, losses, strict=True))
    found = torch.autograd.grad(loss, list(names.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(names.items(), found, strict=True)}


def run_with_dropout(case):
    """The definition with the random numbers of two ranks: keyed by stratum for the Gram matrix, by micro-batch for the update."""
    modules = [ToyModule(case, rank) for rank in range(WORLD)]
    for module in modules[1:]:
        module.stage = modules[0].stage
    optimizer, grams = optimizer_of(modules[0]), []
    for step in range(STEPS):
        work = [(module, batch) for rank, module in enumerate(modules) for batch in window(case, step).batches(rank)]
        counts_K = sum(batch.step_counts_K for _, batch in work if batch.micro == 0).double()
        rows = []
        for stratum in range(STRATA):
            losses = []
            for module, batch in work:
                mine = (batch.stratum_B == stratum).nonzero()[:, 0]
                if mine.numel():
                    module.seed_dropout(batch, stratum)
                    losses.append(module.losses(batch.select(mine)).loss_N)
            share = [1 / counts_K[stratum].item()] * len(losses) if losses else []
            row = gradients(modules[0], losses, share) if losses else {}
            rows.append(torch.cat([g.flatten() for g in row.values()]) if row else None)
        size = next(row.numel() for row in rows if row is not None)
        jacobian = torch.stack([torch.zeros(size) if row is None else row for row in rows]).double()
        grams.append(jacobian @ jacobian.T)
        weights_K = ToyGram(PRIOR_K).weights(grams[-1], counts_K, 0) if case.rule == "gram" else renormalised(PRIOR_K, counts_K)
        each_K = (weights_K / counts_K.clamp(min=1)).float()
        losses, coefficients = [], []
        for module, batch in work:
            module.seed_dropout(batch)
            example = module.losses(batch)
            losses.append(example.loss_N)
            coefficients.append(each_K[example.stratum_N])
        for name, gradient in gradients(modules[0], losses, coefficients).items():
            modules[0].get_parameter(name).grad = gradient
        optimizer.step()
    return modules[0].state_dict(), grams


def close(found, expected, what):
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-5, atol=1e-6, msg=lambda text: f"{what}: {text}")


@pytest.mark.parametrize(("stage", "name"), EVERY)
def test_five_steps_equal_the_definition(ranks, stage, name):
    case = CASES[name]
    one, two = ranks(stage, name)
    if case.dropout:
        expected, grams = run_with_dropout(case)
    else:
        expected, steps = naive_run(case)
        grams = [step.gram_KK for step in steps]
        for (counts_K, weights_K, _), step in zip(one.windows, steps, strict=True):
            if counts_K is not None:
                assert torch.equal(torch.from_numpy(counts_K), step.counts_K.double())
                close(weights_K, step.weights_K, "weights")
    for key, value in expected.items():
        close(one.weights[key], value, key)
    assert two.weights == {}, "rank 0 alone keeps whole tensors"
    assert one.hooks == two.hooks == {"before_backward": STEPS * case.micros, "after_backward": STEPS * case.micros}
    left_out = [case.poison[0]] if case.poison else []
    assert [step for step, (counts_K, _, _) in enumerate(one.windows) if counts_K is None] == left_out
    for step, (_, _, gram_KK) in enumerate(one.windows):
        formed = case.rule == "gram" or (case.probe_every and (step + 1) % case.probe_every == 0)
        assert (gram_KK is not None) == bool(formed and step not in left_out)
        if gram_KK is not None:
            close(gram_KK, grams[step], f"gram of step {step}")


def test_the_gram_pass_sees_dropout(ranks):
    """Else the test above would pass without any."""
    (one, _), (expected, _) = ranks(2, "gram-dropout"), naive_run(replace(CASES["gram-dropout"], dropout=0.0))
    assert max(abs(one.weights[key] - value.numpy()).max() for key, value in expected.items()) > 1e-3


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_at_start_with_the_reason(ranks, name):
    one, two = ranks(2, name)
    assert one == two and REFUSED[name][1] in one and "\n" not in one


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        pytest.param(s, n, marks=[] if (s, n) in FAST_STOPPING else pytest.mark.slow, id=f"zero{s}-{n}")
        for s in STAGES
        for n in STOPPING
    ],
)
def test_one_bad_number_on_one_rank_stops_all_with_one_line(ranks, stage, name):
    one, two = ranks(stage, name)
    assert one == two
    what = "the gradient" if STOPPING[name].finite_loss else "a stratum's gradient"
    assert one.startswith(f"training diverged: {what} is not a finite number after step 2") and "\n" not in one
