"""Other people's modules and loaders under the strategies: updates as defined, and every fault refused in one line."""

from dataclasses import replace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch.utils.data import DataLoader

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.core.errors import UserError
from ltrec.strategy import StratifiedBatch, StratifiedLoader, StratifiedOptions, StratifiedSingleDeviceStrategy
from tests.support.closeness import assert_close
from tests.support.own_module import PRIOR, STRATA, Own, Validating, bearing_lightning, naive, quiet, rows

COUNTS = torch.tensor([3, 2, 1])


def loader(data, batch_size=4, **options):
    return StratifiedLoader(DataLoader(data, batch_size=batch_size), lambda batch: batch["z"], num_strata=STRATA, **options)


def steps_of(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


def options(rule, mode):
    return StratifiedOptions(RULES[rule].make(prior_K=PRIOR, empty=Hajek(PRIOR, torch.ones(STRATA))), PRIOR, rule, mode)


def fit(batches, module=None, strategy="stratified", **trainer):
    module = Own() if module is None else module
    with bearing_lightning():
        quiet(strategy, **trainer).fit(module, batches)
    return module


def weights(module):
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("mode", ["per_stratum", "weighted"])
@pytest.mark.parametrize(("count", "accumulate"), [(24, 1), (24, 2), (22, 2), (6, 4)])
def test_steps_are_the_definitions_also_where_an_epoch_ends_early(mode, count, accumulate):
    data = rows(count)
    module = fit(
        loader(data),
        strategy=StratifiedSingleDeviceStrategy(options=options("backdoor", mode)),
        accumulate_grad_batches=accumulate,
        max_epochs=2,
    )
    steps = steps_of(data, 4 * accumulate)
    assert module.trainer.global_step == 2 * len(steps)
    assert_close(weights(module), naive(steps * 2), 1e-12)


def test_by_name_the_prior_is_the_share_of_users():
    module = fit(loader(rows(12)))
    assert module.trainer.strategy.options.prior_K.tolist() == PRIOR.tolist()
    assert module.reports[0].weights_K[:2].sum() == pytest.approx(1), "the first four rows lack a stratum"


def test_validation_and_a_loader_without_length_need_nothing_special():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(rows(22))

    module = Validating()
    with bearing_lightning():
        quiet("stratified", accumulate_grad_batches=2).fit(module, loader(Stream()), DataLoader(rows(5), batch_size=2))
    assert_close(weights(module), naive(steps_of(rows(22), 8)), 1e-12)
    assert module.validated >= 5


def test_a_callback_may_change_the_accumulation():
    data = rows(16)
    module = fit(loader(data), max_epochs=2, callbacks=[GradientAccumulationScheduler({0: 1, 1: 2})])
    assert module.trainer.global_step == 4 + 2
    assert_close(weights(module), naive(steps_of(data, 4) + steps_of(data, 8)), 1e-12)


def test_dropout_is_keyed_by_step_micro_batch_and_stratum():
    module, drawn = Own(), []
    module.losses = lambda batch: (drawn.append(torch.rand(())), Own.losses(module, batch))[1]
    fit(loader(rows(12, strata=(0, 1))), module, accumulate_grad_batches=3)
    again, second = Own(), []
    again.losses = lambda batch: (second.append(torch.rand(())), Own.losses(again, batch))[1]
    torch.manual_seed(99)
    fit(loader(rows(12, strata=(0, 1))), again, accumulate_grad_batches=3)
    assert drawn == second and len(set(map(float, drawn))) == 6


class Lacking(pl.LightningModule):
    num_strata = 2

    def training_step(self, batch, batch_idx): ...

    def configure_optimizers(self): ...


def by_hand():
    module = Own()
    module.automatic_optimization = False
    return module


def told(**attributes):
    module = Own()
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


def reduced(module=None):
    module = Own()
    module.losses = lambda batch: (Own.losses(module, batch)[0].mean(), batch.stratum_B)
    return module


def elsewhere():
    module = Own()
    module.losses = lambda batch: (Own.losses(module, batch)[0], torch.zeros_like(batch.stratum_B))
    return module


def per_target():
    module = Own()
    module.losses = lambda batch: (Own.losses(module, batch)[0].repeat(2), batch.stratum_B.repeat(2))
    return module


class Made(list):
    """Batches made by hand: a bare list would be several loaders."""

    def __iter__(self):
        return iter(list(super().__iter__()))


class Fixed:
    def __init__(self, *batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


def batch(counts=COUNTS, strata=(0, 0, 0, 1, 1, 2), **more):
    data = rows(len(strata), strata=strata)
    columns = {key: torch.stack([row[key] for row in data]) for key in "xyz"}
    return StratifiedBatch(columns, columns["z"], counts, **more)


REFUSED = {
    "dictionary": (lambda: fit(DataLoader(rows(8), batch_size=4)), r"gave a dict; wrap it: ltrec\.strategy\.StratifiedLoader\("),
    "tuple": (
        lambda: fit(DataLoader(torch.utils.data.TensorDataset(torch.zeros(4, 2), torch.zeros(4)), batch_size=2)),
        "gave a list; wrap it",
    ),
    "lacks names": (
        lambda: fit(loader(rows(8)), Lacking()),
        "Lacking cannot be trained by strategy stratified: it lacks losses, couples_rows, has_plugins, plugins_awake, plugin_of, "
        "seed_dropout; define them, or inherit ltrec.strategy.StratifiedModuleMixin, which leaves num_strata and losses to you",
    ),
    "by hand": (lambda: fit(loader(rows(8)), by_hand()), "optimises by hand.*automatic_optimization = True"),
    "no prior": (lambda: fit(loader(rows(8)), told(users_K=None)), r"set Own\.users_K to the number of users .*StratifiedOptions"),
    "odd prior": (lambda: fit(loader(rows(8)), told(users_K=[1, 2])), r"Own\.users_K must be the number of users in each of 3"),
    "another prior": (
        lambda: fit(
            loader(rows(8)),
            told(num_strata=2),
            StratifiedSingleDeviceStrategy(options=options("backdoor", "weighted")),
        ),
        "the prior has 3 strata and Own.num_strata is 2",
    ),
    "scalar loss": (lambda: fit(loader(rows(8)), reduced()), r"must return one loss and one stratum per example.*\(\), \("),
    "other strata": (lambda: fit(loader(rows(6), 6), elsewhere()), "returned other strata than 1 for rows of stratum 1"),
    "several losses a row": (
        lambda: fit(loader(rows(6), 6), per_target()),
        r"published \[3, 2, 1\] examples .* returned \[6, 4, 2\] of them; .*examples_of",
    ),
    "counts of one micro-batch": (
        lambda: fit(Fixed(batch(), batch()), accumulate_grad_batches=2),
        r"published \[3, 2, 1\] examples per stratum for a step of 2 micro-batches, and Own\.losses returned \[6, 4, 2\]",
    ),
    "different counts": (
        lambda: fit(Fixed(batch(), batch(COUNTS * 2)), accumulate_grad_batches=2),
        "micro-batches of one step publish different counts",
    ),
    "the same micro-batch again": (
        lambda: fit(Fixed(batch(COUNTS * 2, micro=0), batch(COUNTS * 2, micro=0)), accumulate_grad_batches=2),
        r"micro-batch 1 of 2 \(accumulate_grad_batches\) says that it is number 0",
    ),
    "accumulates more than the trainer": (
        lambda: fit(loader(rows(16), accumulate=4), accumulate_grad_batches=2),
        r"published .* for a step of 2 micro-batches",
    ),
    "accumulates less than the trainer": (
        lambda: fit(loader(rows(16), accumulate=1), accumulate_grad_batches=2),
        "says that it is number 0",
    ),
    "strata without counts": (
        lambda: fit(Fixed(batch(torch.tensor([3, 2, 0])))),
        r"published \[3, 2, 0\] examples",
    ),
    "counts of too few strata": (
        lambda: fit(Fixed(batch(COUNTS[:2]))),
        r"int64 \[3\] on the CPU; the loader gave torch.int64 \[2\]",
    ),
    "counts as floats": (lambda: fit(Fixed(batch(COUNTS.double()))), r"the loader gave torch\.float64 \[3\]"),
    "unknown stratum": (
        lambda: fit(Fixed(batch(strata=(0, 1, 3)))),
        r"strata 0 to 3, and Own\.num_strata is 3: they must be 0\.\.2",
    ),
    "limit within an accumulation": (
        lambda: fit(loader(rows(24)), accumulate_grad_batches=2, limit_train_batches=3),
        r"the epoch ends after 1 of 2 micro-batches, .*limit_train_batches\) be a multiple of accumulate_grad_batches=2",
    ),
    "replay that begins to accumulate": (
        lambda: fit(
            loader(rows(16)),
            strategy=StratifiedSingleDeviceStrategy(options=options("upgrad", "replay")),
            max_epochs=2,
            callbacks=[GradientAccumulationScheduler({0: 1, 1: 2})],
        ),
        "cannot accumulate 2 micro-batches",
    ),
    "several devices": (
        lambda: fit(loader(rows(8)), devices=2),
        r"trains on one device in one process, and this trainer has 2 devices; use devices=1, or strategy=stratified_ddp",
    ),
    "ordinary strategy": (lambda: fit(loader(rows(8)), strategy="auto"), "Own has no training_step of its own"),
}


@pytest.mark.parametrize(("act", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_line(act, message):
    with pytest.raises(UserError, match=message) as refusal:
        act()
    assert "\n" not in str(refusal.value)


def test_several_processes_under_torchrun_are_refused_by_the_single_device(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"this trainer has 2 processes; use devices=1, or strategy=stratified_ddp"):
        fit(loader(rows(8)))


def test_nothing_moved_where_a_first_step_was_refused():
    module = Own()
    with pytest.raises(UserError):
        fit(Fixed(batch(), batch()), module, accumulate_grad_batches=2)
    assert_close(weights(module), weights(Own()), 0)


def test_the_place_of_a_batch_is_the_trainers():
    places = []

    class Asks(Own):
        def losses(self, batch):
            places.append((batch.step, batch.micro))
            return super().losses(batch)

    fit(
        Fixed(*[batch(COUNTS * 2)] * 4),
        Asks(),
        accumulate_grad_batches=2,
        strategy=StratifiedSingleDeviceStrategy(options=options("backdoor", "weighted")),
    )
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert replace(batch(), step=5).at(7, 1).step == 7
