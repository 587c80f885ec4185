"""Gradient alignment is what its definition says, on any number of ranks, and descends on what its derivation says."""

from itertools import permutations, product

import pytest
import torch
from torch import nn

from ltrec.core.hashing import mix
from ltrec.core.losses import ExampleLosses
from ltrec.distributed.alignment.pseudo_gradient import Alignment
from ltrec.distributed.alignment.tasks import stratum_tasks, user_tasks
from ltrec.distributed.collectives import Collectives
from tests.support.closeness import assert_close, assert_same
from tests.support.naive_alignment import naive_pseudo_gradient, stratum_chains, user_chains
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_stage import ToyStage
from tests.support.windows import crowded

LR, SEED = 0.05, 3


def followed(window, total, *, steps=None, stage=None, spoil=None):
    """Rank -> (gradients, norm, calls, losses) after one window; tasks are users with `steps`, else strata."""

    def on_rank(rank):
        toy = ToyStage(window.strata) if stage is None else stage
        alignment = Alignment([p for p in toy.parameters() if p.requires_grad], Collectives(), inner_lr=LR)
        before = {name: p.detach().clone() for name, p in toy.named_parameters()}
        alignment.open()
        local, met = total // window.world // window.micros, []
        for batch in window.batches(rank):
            first = (batch.micro * window.world + rank) * local
            if steps:
                tasks = user_tasks(batch, local, steps)
            else:
                tasks = stratum_tasks(batch, local, lambda number, first=first: mix(SEED, window.step, first + number))
            for trajectory in tasks:
                met += alignment.follow(trajectory, lambda task, _: toy.losses(task) if spoil is None else spoil(toy, rank, task))
                assert_same({name: p.detach() for name, p in toy.named_parameters()}, before)
        norm = alignment.publish()
        gradients = {name: p.grad for name, p in toy.named_parameters() if p.requires_grad}
        return gradients, norm, dict(alignment.collectives.calls), met

    return on_ranks(window.world, on_rank)


@threaded_or_skip
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("micros", [1, 2])
@pytest.mark.parametrize(("rows", "steps"), [(1, 1), (1, 2), (2, 3), (3, 2), (6, 1)])
def test_tasks_of_users_equal_the_definition(world, micros, rows, steps):
    window = crowded(world, 3, micros)
    total = len(window.rows) // (rows * steps)
    expected = naive_pseudo_gradient(ToyStage(3), user_chains(window, total, steps), 3, LR)
    for gradients, norm, calls, _ in followed(window, total, steps=steps):
        assert_close(gradients, expected)
        assert calls == ({} if world == 1 else {"all_reduce": 1})
        torch.testing.assert_close(norm, torch.cat([g.flatten() for g in gradients.values()]).norm())


@threaded_or_skip
@pytest.mark.parametrize(("world", "micros", "per_micro"), [(1, 1, 1), (1, 2, 2), (2, 1, 2), (3, 2, 6)])
def test_tasks_of_strata_equal_the_definition(world, micros, per_micro):
    window = crowded(world, 3, micros).without(lambda row: row.stratum == 1)  # a stratum that is nowhere is no task
    chains = stratum_chains(window, per_micro * micros, SEED)
    expected = naive_pseudo_gradient(ToyStage(3), chains, 3, LR)
    for gradients, *_ in followed(window, per_micro * micros):
        assert_close(gradients, expected)


def test_one_step_of_one_task_is_the_joint_gradient_bit_for_bit():
    window, stage = crowded(1, 3, 1), ToyStage(3)
    [(gradients, *_)] = followed(window, 1, steps=1)
    stage.losses(window.batches(0)[0]).loss_N.mean().backward()
    assert_same(
        gradients, {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in stage.named_parameters() if n in gradients}
    )


def test_one_step_per_user_is_the_mean_over_users():
    window, stage = crowded(1, 3, 1), ToyStage(3)
    [(gradients, *_)] = followed(window, len(window.rows), steps=1)
    [batch] = window.batches(0)
    means = [stage.losses(batch.select(torch.tensor([row]))).loss_N.mean() for row in range(batch.num_rows)]
    torch.stack(means).mean().backward()
    assert_close(
        gradients, {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in stage.named_parameters() if n in gradients}
    )


def test_losses_are_those_met_on_the_way():
    window = crowded(1, 3, 1)
    [(_, _, _, met)] = followed(window, 3, steps=2)
    first, second = met[0].loss_N, met[1].loss_N
    at_start = ToyStage(3).losses(window.batches(0)[0]).loss_N.detach()
    assert torch.equal(first, at_start[: first.numel()])
    assert not torch.allclose(second, at_start[first.numel() : first.numel() + second.numel()])
    assert not any(example.loss_N.requires_grad for example in met)


def test_a_trajectory_without_tasks_is_no_part_of_the_mean():
    window = crowded(1, 3, 1)
    stage = ToyStage(3)
    alignment = Alignment([p for p in stage.parameters() if p.requires_grad], Collectives(), inner_lr=LR)
    chains = user_tasks(window.batches(0)[0], 3, 2)
    found = []
    for tasks in (chains[:2], [chains[0], [], chains[1], []]):
        alignment.open()
        for trajectory in tasks:
            alignment.follow(trajectory, lambda task, _: stage.losses(task))
        alignment.publish()
        found.append({n: p.grad.clone() for n, p in stage.named_parameters() if p.requires_grad})
    assert_same(*found)


@threaded_or_skip
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_what_is_no_number_on_one_rank_is_seen_on_every_rank(value, with_gradient):
    """Also an infinite loss whose gradient is finite."""

    def spoil(toy, rank, task):
        example = toy.losses(task)
        bad = example.loss_N * value if with_gradient else example.loss_N + value
        return ExampleLosses(bad, example.stratum_N) if rank == 1 else example

    for _, norm, *_ in followed(crowded(2, 3, 1), 2, steps=3, spoil=spoil):
        assert not norm.isfinite()


def test_the_next_window_starts_afresh():
    """From other parameters, with nothing left of the last one, and with the buffers it had."""
    window, stage = crowded(1, 3, 1), ToyStage(3)
    alignment = Alignment([p for p in stage.parameters() if p.requires_grad], Collectives(), inner_lr=LR)
    [batch] = window.batches(0)
    for _ in range(2):
        expected = naive_pseudo_gradient(stage, user_chains(window, 3, 2), 3, LR)
        alignment.open()
        for trajectory in user_tasks(batch, 3, 2):
            alignment.follow(trajectory, lambda task, _: stage.losses(task))
        alignment.publish()
        assert_close({n: p.grad for n, p in stage.named_parameters() if p.requires_grad}, expected)
        places = [p.grad.data_ptr() for p in stage.parameters() if p.requires_grad]
        with torch.no_grad():
            for p in stage.parameters():
                if p.grad is not None:
                    p -= p.grad
                    p.grad = None
    alignment.open()
    assert [p.grad.data_ptr() for p in stage.parameters() if p.requires_grad] == places
    assert alignment.extra_bytes == sum(p.nbytes for p in stage.parameters() if p.requires_grad)


class Quadratic(nn.Module):
    """Task i has loss (theta - c_i)^T H_i (theta - c_i) / 2, whose gradients are linear: no term is left out of the expansion."""

    def __init__(self, tasks, width=4):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        factor = torch.randn(tasks, width, width, generator=draw, dtype=torch.float64)
        self.H = factor @ factor.transpose(1, 2)
        self.c = torch.randn(tasks, width, generator=draw, dtype=torch.float64)
        self.theta = nn.Parameter(torch.randn(width, generator=draw, dtype=torch.float64))

    def loss(self, task):
        return (self.theta - self.c[task]) @ self.H[task] @ (self.theta - self.c[task]) / 2

    def gradient(self, task):
        return self.H[task] @ (self.theta.detach() - self.c[task])

    def expected(self, order_of_tasks, lr):
        """The mean pseudo-gradient over all orders of the tasks."""
        alignment = Alignment([self.theta], Collectives(), inner_lr=lr)
        alignment.open()
        for order in order_of_tasks:
            alignment.follow(order, lambda task, _: ExampleLosses(self.loss(task)[None], torch.zeros(1, dtype=torch.int64)))
        alignment.publish()
        return self.theta.grad.clone()


@pytest.mark.parametrize("lr", [1e-3, 0.1, 3.0])
def test_the_expected_pseudo_gradient_of_two_tasks_has_the_inner_product_in_it(lr):
    """LTP eq. 8 with two tasks: (gradient of L_1 + L_2 - (alpha / 2) <G_1, G_2> for every order) / 2, exactly."""
    toy = Quadratic(2)
    G1, G2 = toy.gradient(0), toy.gradient(1)
    plain = (G1 + G2) / 2
    of_inner_product = toy.H[0] @ G2 + toy.H[1] @ G1
    measured = (toy.expected(list(permutations(range(2))), lr) - plain) / lr
    torch.testing.assert_close(measured, -of_inner_product / 4, rtol=1e-9, atol=1e-12)
    theta = toy.theta.detach().clone().requires_grad_()
    product = (toy.H[0] @ (theta - toy.c[0])) @ (toy.H[1] @ (theta - toy.c[1]))
    torch.testing.assert_close(torch.autograd.grad(product, theta)[0], of_inner_product)


@pytest.mark.parametrize("tasks", [3, 4])
def test_the_coefficient_of_alpha_is_that_of_eq_8_for_more_tasks(tasks):
    """-(1 / 2k) sum over pairs of the gradient of <G_i, G_j>; beyond it the pseudo-gradient is a polynomial in alpha."""
    toy = Quadratic(tasks)
    orders, plain = list(permutations(range(tasks))), sum(toy.gradient(i) for i in range(tasks)) / tasks
    pairs = [(i, j) for i in range(tasks) for j in range(i)]
    exact = -sum(toy.H[i] @ toy.gradient(j) + toy.H[j] @ toy.gradient(i) for i, j in pairs) / (2 * tasks)
    rates = torch.arange(1, tasks, dtype=torch.float64) / 100
    slopes = torch.stack([(toy.expected(orders, float(a)) - plain) / a for a in rates])
    powers = torch.stack([rates**n for n in range(tasks - 1)], 1)  # of degree k - 2 after division by alpha
    at_zero = torch.linalg.solve(powers, slopes)[0]
    torch.testing.assert_close(at_zero, exact, rtol=1e-8, atol=1e-9)


def test_a_single_task_has_no_such_term():
    toy = Quadratic(3)
    found = toy.expected([[0], [1], [2]], 0.5)
    torch.testing.assert_close(found, sum(toy.gradient(i) for i in range(3)) / 3, rtol=1e-14, atol=0)


@pytest.mark.parametrize("together", [1, 2])
def test_of_tasks_drawn_at_random_it_expects_what_two_steps_on_the_mean_loss_would_give(together):
    """Users who are independent draws: H_i G_j has the mean of H times the mean of G, however many users share a task.

    So what sets LTP with users apart from joint training is its inner steps, not who is paired with whom; tasks that are drawn
    without replacement, as the strata of Fish are, differ: no task meets itself.
    """
    toy, lr = Quadratic(4), 0.1
    users = product(range(4), repeat=together)
    alignment = Alignment([toy.theta], Collectives(), inner_lr=lr)
    alignment.open()
    for chain in product(users, repeat=2):
        alignment.follow(
            chain,
            lambda task, _: ExampleLosses(torch.stack([toy.loss(user) for user in task]), torch.zeros(together, dtype=torch.int64)),
        )
    alignment.publish()
    mean_H, mean_G = toy.H.mean(0), sum(toy.gradient(user) for user in range(4)) / 4
    after_one_step = mean_G - lr * mean_H @ mean_G
    assert_close({"theta": toy.theta.grad}, {"theta": (mean_G + after_one_step) / 2})
