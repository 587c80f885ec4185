"""Which rows a run computes gradients of: chosen by one rule, said in one line; whatever it is, the weights come out the same."""

from types import SimpleNamespace

import pytest
import torch

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.objectives.binary import BCE
from ltrec.objectives.sampled import SampledSoftmax
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.touched import expected_rows
from ltrec.run.build.training import build_module
from ltrec.run.train import train
from tests.support.shards import random_users, write_dataset
from tests.support.tiny_run import checkpoint, lines_of, same, tiny_words

FEW = ["objective.name=sampled_softmax", "objective.scope=shared", "objective.negatives=8"]
SHORT = ["trainer.max_epochs=2", "trainer.checkpoint_every_steps=0", "trainer.validate_every_epochs=2"]
BY_STRATUM = "gradients.name=stratified"
WAYS = {
    "joint": ["trainer.accumulate=2", "optim.clip_norm=0.1", "trainer.ema=1"],
    "lazy": ["optim.name=lazy_adamw", "objective.scope=position"],
    "per_stratum": [BY_STRATUM, "trainer.accumulate=2", "optim.clip_norm=0.1", "trainer.ema=1"],
    "weighted": [BY_STRATUM, "gradients.mode=weighted", "gradients.probe_every_steps=2"],
    "replay": [BY_STRATUM, "gradients.mode=replay", "gradients.rule.name=upgrad"],
    "plugins": [BY_STRATUM, "plugin.name=bottleneck", "plugin.switch.at=1"],
}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """90 users of 400 items."""
    folder = tmp_path_factory.mktemp("sparse")
    write_dataset(folder, random_users([40, 30, 20], num_items=400, longest=8), num_items=400)
    return folder


def config_of(data, out, *words):
    named = {word.partition("=")[0] for word in words}
    return load([], [*(w for w in tiny_words(data, out, *FEW, *SHORT) if w.partition("=")[0] not in named), *words])


@pytest.mark.parametrize("way", WAYS)
def test_touched_rows_train_to_the_same_bits(sparse, tmp_path, way):
    """Sums per row are taken in the same order, so that even rounding agrees; norms by stratum are sums over other blocks."""
    runs = [train(config_of(sparse, tmp_path / rows, *WAYS[way], f"gradients.rows={rows}")).path for rows in ("all", "touched")]
    mine, theirs = (checkpoint(run) for run in runs)
    for key in ("state_dict", "optimizer_states", "average"):
        assert same(mine.get(key), theirs.get(key)), key
    for a, b in zip(*map(lines_of, runs), strict=True):
        assert a == pytest.approx(b, rel=1e-6)


def module_of(data, out, *words):
    config = config_of(data, out, *words)
    opened = open_data(config)
    return build_module(config, opened, build_plan(config, opened))


def test_the_choice_is_said_in_one_line(sparse, tmp_path):
    """Few rows of many; many rows of few; and `rows` decides where it may."""
    joint, by_stratum = (module_of(sparse, tmp_path, *words) for words in ([], [BY_STRATUM]))
    assert joint.touched is None and "every row" in joint.about_rows and "of 400 are touched" in joint.about_rows
    assert by_stratum.touched is not None and by_stratum.touched.name == "backbone.items.weight"
    assert by_stratum.about_rows.startswith("item table: a step has gradients of the rows that it touches, about 1")
    assert module_of(sparse, tmp_path, "gradients.rows=touched").touched is not None
    assert module_of(sparse, tmp_path, BY_STRATUM, "gradients.rows=all").touched is None


OBSTACLES = {
    "fsdp2 shards the table": [BY_STRATUM, "strategy.name=fsdp2"],
    "deepspeed_stage_2 shards": [BY_STRATUM, "strategy.name=deepspeed_stage_2"],
    "later micro-batches": ["objective.scope=position", "trainer.accumulate=2"],
    "4 item tables": [BY_STRATUM, "plugin.name=copies"],
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_what_cannot_be_falls_back_and_says_so(sparse, tmp_path, reason):
    module = module_of(sparse, tmp_path, *OBSTACLES[reason])
    assert module.touched is None and reason in module.about_rows and "\n" not in module.about_rows


def test_walks_over_tasks_and_full_softmax_move_the_whole_table(sparse, tmp_path):
    assert "aligned" in module_of(sparse, tmp_path, "gradients.name=aligned", "gradients.tasks=stratum").about_rows
    config = load([], [w for w in tiny_words(sparse, tmp_path) if not w.startswith("objective.")] + ["objective.name=softmax"])
    opened = open_data(config)
    assert "softmax reads them all" in build_module(config, opened, build_plan(config, opened)).about_rows


def test_touched_rows_are_refused_where_they_cannot_be(sparse, tmp_path):
    with pytest.raises(UserError, match=r"gradients\.rows=touched is not possible: fsdp2 shards the table; use .*=auto"):
        module_of(sparse, tmp_path, BY_STRATUM, "strategy.name=fsdp2", "gradients.rows=touched")


@pytest.mark.parametrize("scope", ["shared", "position"])
@pytest.mark.parametrize("proposal", ["uniform", "popularity"])
def test_expected_rows_are_those_of_random_steps(scope, proposal):
    """Events by popularity, negatives by their proposal: the mean over steps drawn at random."""
    count = torch.tensor([0, *(1 + 3000 // (item + 3) for item in range(300))])
    users, rows, length = int(count.sum()) // 6, 20, 6
    objective = SampledSoftmax(train_count=count, negatives=4, scope=scope, proposal=proposal)
    plan = SimpleNamespace(trainable_rows=users, max_len=50, batch_rows=rows)
    g = torch.Generator().manual_seed(0)
    found = []
    for _ in range(200):
        events = torch.multinomial(count.double(), rows * length, replacement=True, generator=g)
        draws = 4 * (rows * (length - 1) if scope == "position" else 1)
        drawn = objective.proposal.items(torch.randint(-(2**63), 2**63 - 1, (draws,), generator=g))
        found.append(torch.cat([events, drawn]).unique().numel())
    assert expected_rows(objective, count, plan) == pytest.approx(sum(found) / 200, rel=0.03)
    assert not objective.log_unread_V(5)[0] and not BCE(train_count=count).log_unread_V(5)[0]
