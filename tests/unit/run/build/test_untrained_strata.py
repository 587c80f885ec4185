"""Strata that train nothing, because their users bring no target: P(z) leaves them out, and another one's plugins serve them."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.run.build.components import build_histories, build_plan, open_data
from ltrec.run.build.strata import heirs_of, trained_strata
from ltrec.run.build.strategies import build_prior, build_stratified_options
from ltrec.run.build.training import build_module
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.config_file import read_config
from ltrec.run.process.detect import detect
from ltrec.run.scoring.scorer import load_network
from ltrec.run.train import train
from tests.support.logs import START, prepared
from tests.support.streaming import epochs
from tests.support.tiny_run import checkpoint, tiny_config

STRATIFIED = ("gradients.name=stratified", "trainer.max_epochs=2")
LENGTHS = [3] * 20 + [4] * 14 + [5] * 10 + [6] * 8 + [9] * 6 + [14] * 4
"""Events of each user, all but two for training: the first twenty bring no target."""


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """Strata of 1, 2-3, 4-6 and 7+ training events: nobody to train on in the first."""
    folder = tmp_path_factory.mktemp("sparse")
    rows = [(f"u{u}", f"i{(u * 5 + n * (u + 3)) % 23}", START + n) for u, length in enumerate(LENGTHS) for n in range(length)]
    manifest = prepared(folder, rows, strata_bounds=(1, 2, 4, 7), duplicates="keep")
    assert manifest.strata.users == (20, 24, 8, 10) and manifest.trainable_K == (0, 24, 8, 10)
    return folder / "out"


def told(data, folder, *words):
    config = tiny_config(data, folder, *STRATIFIED, *words)
    opened = open_data(config)
    return config, opened, build_plan(config, opened)


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        ((), [0, 24, 8, 10]),
        (("gradients.prior.name=uniform",), [0, 1, 1, 1]),
        (("gradients.prior.name=tempered", "gradients.prior.temperature=2"), [0, 24**0.5, 8**0.5, 10**0.5]),
        (("gradients.prior.name=event",), [0, 14 * 2 + 10 * 3, 8 * 4, 6 * 7 + 4 * 12]),
        (("gradients.prior.name=class_balanced", "gradients.prior.beta=0"), [0, 14 + 20, 24, 36 + 24]),
        (("strata=2",), [32, 10]),
        (("strata=3",), [0, 24, 18]),
        (("stream.users=tail",), [0, 24, 8, 0]),
        (("stream.users=tail", "gradients.prior.name=uniform"), [0, 1, 1, 0]),
        (("stream.users=head", "gradients.prior.name=event"), [0, 0, 0, 1]),
    ],
)
def test_shares_are_those_of_the_users_who_train(sparse, tmp_path, words, weights):
    """Targets of a window of six: 9 events train 7, of which 6 are targets; 14 train 12, of which also 6."""
    config, *known = told(sparse, tmp_path, *words)
    prior_K = build_prior(config.combination.prior, *known)
    assert prior_K.tolist() == pytest.approx([w / sum(weights) for w in weights], rel=1e-12)


def test_the_adjustment_by_users_is_the_mean_over_the_users_who_train(sparse, tmp_path):
    """sum_z P(z) mean_z = (1/U) sum_u l_u where an example is a user, over whole passes, for P(z) = users_z / U. With the shares of
    all training users it would be no mean over anybody."""
    config, opened, plan = told(
        sparse,
        tmp_path,
        *(
            "objective.name=bce",
            "model.dropout=0",
            "stream.unit=user",
            "stream.window=last",
            "gradients.estimator=horvitz_thompson",
        ),
    )
    stage, rule = build_module(config, opened, plan).double(), build_stratified_options(config, opened, plan).rule
    parameters = [p for p in stage.parameters() if p.requires_grad]

    def gradient(loss):
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])

    update, drawn = 0.0, []
    steps = 14  # of 24 rows: eight passes over 42 users
    for batch in epochs(StreamLoader(opened.folder, opened.manifest, plan, world=World()), steps // plan.steps_per_epoch):
        counts_K, example = batch.step_counts_K, stage.losses(batch)
        weight_K = torch.where(counts_K > 0, rule.weights(counts_K) / counts_K, 0.0)
        update = update + gradient((weight_K[example.stratum_N] * example.loss_N).sum())
        drawn += list(example.loss_N)
    assert plan.train_rows == 42 and len(drawn) == 8 * 42
    torch.testing.assert_close(update / steps, gradient(sum(drawn) / len(drawn)), rtol=1e-9, atol=1e-13)


def test_ipw_trains(sparse, tmp_path):
    """Positivity holds for the strata that P(z) speaks of; a share for the others is refused by name."""
    ht = ("gradients.mode=weighted", "gradients.prior.name=uniform", "gradients.estimator=horvitz_thompson")
    run = train(tiny_config(sparse, tmp_path, *STRATIFIED, *ht))
    assert all(value.isfinite().all() for value in checkpoint(run.path)["state_dict"].values())
    explicit = ("gradients.prior.name=explicit", "gradients.prior.shares=[0.25,0.25,0.25,0.25]")
    with pytest.raises(
        UserError, match=r"gradients\.prior\.shares gives stratum 0 \(1 training events\) the share 0\.25, but training sees"
    ):
        build_stratified_options(*told(sparse, tmp_path, *explicit, "gradients.estimator=horvitz_thompson"))


BOTTLENECK = ("plugin.name=bottleneck", "plugin.switch.by=step", "plugin.switch.at=0")


@pytest.mark.parametrize(
    ("words", "heirs"),
    [
        (BOTTLENECK, (1, 1, 2, 3)),
        (("plugin.name=copies", "plugin.switch.by=step", "plugin.switch.at=0"), (1, 1, 2, 3)),
        ((*BOTTLENECK, "strata=2"), (0, 1)),
        ((*BOTTLENECK, "strata=3"), (1, 1, 2)),
        ((*BOTTLENECK, "stream.users=tail"), (1, 1, 2, 2)),
        ((*BOTTLENECK, "stream.composition=quota", "stream.quotas=[0,0.5,0,0.5]"), (1, 1, 1, 3)),
        ((*BOTTLENECK, "gradients.prior.name=explicit", "gradients.prior.shares=[0,0,0.5,0.5]"), (2, 2, 2, 3)),
        ((*BOTTLENECK, "gradients.prior.name=class_balanced"), (1, 1, 2, 3)),
        (("plugin.name=melt",), (0, 1, 2, 3)),
        ((), (0, 1, 2, 3)),
    ],
)
def test_which_plugins_serve_which_strata(sparse, tmp_path, words, heirs):
    """Whatever leaves a stratum without training: no target, not chosen, a quota or a share of 0. MELT's map is nobody's own."""
    config, opened, _ = told(sparse, tmp_path, *words)
    assert heirs_of(config, opened.manifest) == heirs


@pytest.mark.parametrize("plugin", ["bottleneck", "copies"])
def test_no_history_is_scored_by_an_untrained_plugin(sparse, tmp_path, plugin):
    """In every split; and the trained ones differ from their start, so that the choice is not empty."""
    config, opened, _ = told(sparse, tmp_path, f"plugin.name={plugin}", "plugin.switch.by=step", "plugin.switch.at=0")
    routes = Counter()
    for split in ("valid", "test", "all"):
        histories = build_histories(config, opened, split)
        for chunk in (histories.chunk(i) for i in range(len(histories))):
            routes.update(zip(chunk.history_length_B.tolist(), chunk.batch.stratum_B.tolist(), strict=True))
            assert set(chunk.stratum_B.tolist()) == {0, 1, 2, 3}, "reports keep the stratum of training"
    assert {(length, z) for length, z in routes if length == 1} == {(1, 1)}
    assert {z for _, z in routes} == {1, 2, 3} == set(trained_strata(config, opened.manifest))


def test_scores_do_not_depend_on_untrained_parameters(sparse, tmp_path):
    """Spoil the first stratum's plugin in a checkpoint: nothing changes. Spoil its heir's: validation of single events does."""
    run = train(tiny_config(sparse, tmp_path, *STRATIFIED, *BOTTLENECK, "plugin.form=released", "optim.lr=0.05"))
    ranks = {}
    for spoiled in (None, 0, 1):
        state = checkpoint(run.path)
        for name, value in state["state_dict"].items():
            if name.startswith("backbone.plugins.") and f".{spoiled}." in name:
                value.fill_(2.0)
        torch.save(state, tmp_path / f"{spoiled}.ckpt")
        ranks[spoiled] = ranked(run, sparse, tmp_path / f"{spoiled}.ckpt")
    assert ranks[0] == ranks[None] != ranks[1]


def ranked(run, data, path):
    """Items in the order of their scores, for every validation history."""
    config = read_config(run)
    opened = open_data(config)
    score, histories = load_network(config, opened, path, detect()), build_histories(config, opened, "valid")
    return [score(histories.chunk(i)).argsort(1).tolist() for i in range(len(histories))]


def test_a_run_is_evaluated_by_the_strata_of_the_data(sparse, tmp_path):
    run = train(tiny_config(sparse, tmp_path, *STRATIFIED, *BOTTLENECK))
    files = evaluate_run(run, "test", "last", detect())
    assert files["sasrec"].exists()


@pytest.mark.parametrize(("users", "missing"), [("tail", "head"), ("head", "tail")])
def test_a_discriminator_needs_both_sides(sparse, tmp_path, users, missing):
    config, opened, plan = told(sparse, tmp_path, "adversary.weight=0.1", f"stream.users={users}")
    with pytest.raises(
        UserError, match=rf"^adversary\.weight=0\.1 tells head from tail, .* training sees no user of the {missing}; use"
    ):
        build_module(config, opened, plan)
