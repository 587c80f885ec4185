"""Re-weighting methods as their files set them up: over a pass, IPW and class-balanced training follow exactly the gradient of the
data set's re-weighted loss, and per-user mean the gradient of the mean over users."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch

from benchmarks.harness.conf_methods import FILES
from ltrec.config.load import load
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.strategies import build_stratified_options
from ltrec.run.build.training import build_module
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import epochs

WORDS = [
    "stream.batch_rows=24",
    "stream.lanes=24",
    "stream.max_len=6",
    "model.width=8",
    "model.heads=1",
    "model.dropout=0",
    "objective.name=softmax",
]


class Case:
    """A method on 192 users of three strata, eight steps a pass; float64, no dropout, exact softmax."""

    def __init__(self, folder, method, *words):
        self.config = load([FILES[method][0]], [f"data.path={folder}", *WORDS, *words])
        self.data = open_data(self.config)
        self.plan = build_plan(self.config, self.data)
        self.stage = build_module(self.config, self.data, self.plan).double()
        self.options = build_stratified_options(self.config, self.data, self.plan)

    def gradient(self, loss):
        parameters = [p for p in self.stage.parameters() if p.requires_grad]
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])

    def losses(self, batch):
        """(user key, stratum, loss) of every target, in plain Python."""
        self.stage.unit = "target"
        example = self.stage.losses(batch)
        self.stage.unit = self.config.stream.unit
        keys = batch.user_key_B[batch.row_of_position()].tolist()
        return list(zip(keys, example.stratum_N.tolist(), example.loss_N, strict=True))

    def windows(self, accumulate=1):
        """Micro-batches of one pass, step by step."""
        loader = StreamLoader(self.data.folder, self.data.manifest, self.plan, world=World(), accumulate=accumulate)
        steps = defaultdict(list)
        for batch in epochs(loader, 1):
            steps[batch.step].append(batch)
        return list(steps.values())

    def average_update(self, accumulate=1):
        """The mean over a pass of what the engine follows: sum_z w_z G_z, w from the window's counts."""
        total = 0.0
        for window in self.windows(accumulate):
            counts_K = window[0].step_counts_K
            weights_K = self.options.rule.weights(counts_K)
            coefficient_K = torch.where(counts_K > 0, weights_K / counts_K, 0.0)
            for batch in window:
                example = self.stage.losses(batch)
                total = total + self.gradient((coefficient_K[example.stratum_N] * example.loss_N).sum())
        return total / len(self.windows())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, random_users([40, 72, 80], num_items=30, longest=8), num_items=30)
    return folder


@pytest.mark.parametrize("unit", ["target", "user"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_ipw_is_the_plain_reweighted_gradient_with_the_counts_of_the_data(folder, unit, accumulate):
    """sum_i l_i / (K M_z(i)) over the whole data, M_z counted by hand. Windows differ in what they hold; that averages out."""
    case = Case(folder, "ipw", f"stream.unit={unit}")
    examples = defaultdict(lambda: defaultdict(list))
    for window in case.windows():
        for key, stratum, loss in case.losses(window[0]):
            examples[stratum][key].append(loss)
    loss = 0.0
    for users in examples.values():
        ones = (
            [loss for of_user in users.values() for loss in of_user]
            if unit == "target"
            else [sum(u) / len(u) for u in users.values()]
        )
        loss = loss + sum(ones) / len(ones) / 3
    torch.testing.assert_close(case.average_update(accumulate), case.gradient(loss), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.995, 0.9999999])
def test_class_balanced_is_its_formula_over_the_data(folder, beta):
    """Weights (1 - beta) / (1 - beta^M_z), scaled so that the strata's shares sum to 1."""
    case = Case(folder, "class-balanced", f"gradients.prior.beta={beta}")
    by_stratum = defaultdict(list)
    for window in case.windows():
        for _, stratum, loss in case.losses(window[0]):
            by_stratum[stratum].append(loss)
    weight = {z: (1 - beta) / (1 - beta ** len(losses)) for z, losses in by_stratum.items()}
    scale = sum(weight[z] * len(losses) for z, losses in by_stratum.items())
    loss = sum(weight[z] * sum(losses) for z, losses in by_stratum.items()) / scale
    torch.testing.assert_close(case.average_update(), case.gradient(loss), rtol=1e-7, atol=1e-10)
    prior = case.options.prior_K
    if beta == 0:
        shares = torch.tensor([len(by_stratum[z]) for z in range(3)], dtype=torch.float64)
        torch.testing.assert_close(prior, shares / shares.sum())
    if beta > 0.9999:
        torch.testing.assert_close(prior, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=1e-3, atol=0)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_per_user_mean_is_the_mean_over_the_users_of_their_means(folder, accumulate):
    """Of every step: naive loops, and what the stage's sums over the published count give, in one piece or several."""
    case = Case(folder, "per-user-mean")
    for window, pieces in zip(case.windows(), case.windows(accumulate), strict=True):
        of_user = defaultdict(list)
        for key, _, loss in case.losses(window[0]):
            of_user[key].append(loss)
        naive = sum(sum(losses) / len(losses) for losses in of_user.values()) / len(of_user)
        assert len(of_user) == 24
        users = int(pieces[0].step_counts_K.sum())
        found = sum(case.stage.losses(batch).loss_N.sum() for batch in pieces) / users
        assert found.item() == pytest.approx(naive.item(), rel=1e-12)
        torch.testing.assert_close(case.gradient(found), case.gradient(naive), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("alpha", [0.1, 0.33, 0.5, 0.95, 1.0])
def test_cvar_by_user_is_the_mean_of_the_worst_users_of_the_batch(folder, alpha):
    """As the public code of "Improving Minimax Group Fairness" has it: a user's loss is the mean over his targets; of m users the
    worst floor(alpha m) weigh 1 / (alpha m), and the next one what is then left to 1."""
    case, plain = Case(folder, "cvar-dro", "stream.unit=user", f"emphasis.alpha={alpha}"), Case(folder, "per-user-mean")
    plain.stage.load_state_dict(case.stage.state_dict())
    for [batch] in case.windows():
        of_user = defaultdict(list)
        for key, _, loss in plain.losses(batch):
            of_user[key].append(loss)
        worst_first = sorted((sum(losses) / len(losses) for losses in of_user.values()), reverse=True)
        whole, size = int(alpha * len(worst_first)), alpha * len(worst_first)
        naive = sum(worst_first[:whole]) / size
        if whole < len(worst_first):
            naive = naive + (1 - whole / size) * worst_first[whole]
        example = case.stage.losses(batch)
        assert example.loss_N.numel() == batch.num_rows == int(batch.step_counts_K.sum())
        found = example.loss_N.mean()
        assert found.item() == pytest.approx(naive.item(), rel=1e-12)
        of_naive = torch.autograd.grad(naive, [p for p in plain.stage.parameters() if p.requires_grad])
        torch.testing.assert_close(case.gradient(found), torch.cat([g.flatten() for g in of_naive]), rtol=1e-9, atol=1e-13)


def test_a_long_history_counts_no_more_than_a_short_one(folder):
    """What the two units differ by: the weight of a user in the step's loss."""
    case = Case(folder, "per-user-mean")
    [batch] = case.windows()[0]
    by_user = case.stage.losses(batch).loss_N
    assert by_user.numel() == batch.num_rows < batch.targets_T.numel()
    assert batch.lengths_B.unique().numel() > 1
    case.stage.unit = "target"
    by_target = case.stage.losses(batch).loss_N
    torch.testing.assert_close(by_user[0], by_target[: batch.lengths_B[0]].mean())
