"""What an example is (stream.unit) and whom is trained on (stream.users): counts, orders, expectations, refusals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.expected import examples_K, expected_presence_K, expected_targets_K
from ltrec.data.stream.order.plan import Plan
from ltrec.run.progress.announcements import say_visits
from tests.support.shards import fake_manifest, random_users, write_dataset
from tests.support.streaming import BASE, VARIANTS, all_same, epochs, every_variant, make, rows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder, manifest and users: 3 strata, of which the last is the head; 8 steps of 24 are one pass."""
    folder = tmp_path_factory.mktemp("tiny")
    users = random_users([40, 72, 80])
    return folder, write_dataset(folder, users, block_rows=3), users


def users_of(seen):
    return Counter(key for batch in seen for key, *_ in rows(batch))


# -- unit -----------------------------------------------------------------------------------------------------------------------


@every_variant
@pytest.mark.parametrize(("size", "accumulate"), [(1, 3), (3, 2)])
def test_by_user_a_window_counts_its_rows_by_stratum(tiny, config, size, accumulate):
    config = replace(config, unit="user")
    whole = {b.step: b.stratum_B.bincount(minlength=3) for b in make(tiny, config)}
    published = dict.fromkeys(whole, 0)
    for rank in range(size):
        own = dict.fromkeys(whole, 0)
        for batch in make(tiny, config, rank, size, accumulate=accumulate):
            own[batch.step] = own[batch.step] + batch.stratum_B.bincount(minlength=3)
            said = batch.step_counts_K
            published[batch.step] = published[batch.step] + said * (batch.micro == 0)
            if batch.micro == accumulate - 1:
                assert torch.equal(said, own[batch.step]), "the rank's whole window, in every micro-batch"
    assert all(torch.equal(published[step], whole[step]) for step in whole)


@every_variant
def test_the_unit_changes_neither_rows_nor_order(tiny, config):
    """Only the counts; so a run by user has the digests of one by target."""
    by_user, by_target = (epochs(make(tiny, replace(config, unit=unit)), 1) for unit in ("user", "target"))
    nothing = torch.zeros(0)
    assert all_same(*([replace(b, step_counts_K=nothing) for b in seen] for seen in (by_user, by_target)))
    digests = {Plan.of(tiny[1], 5, replace(config, unit=unit)).digest for unit in ("user", "target")}
    assert len(digests) == 1


@every_variant
def test_expected_users_are_the_average_of_what_is_streamed_and_read_no_file(tiny, config, tmp_path):
    _, manifest, _ = tiny
    config = replace(config, unit="user")
    plan = Plan.of(manifest, 5, config)
    expected = expected_targets_K(tmp_path / "no such folder", manifest, plan)
    average = sum(b.step_counts_K for b in epochs(make(tiny, config), 2)).double() / 16
    assert torch.allclose(expected, average, rtol=1e-14)
    assert expected.sum() == 24


def test_examples_of_the_data_are_what_one_pass_holds(tiny):
    folder, manifest, users = tiny
    by_target, by_user = (examples_K(folder, manifest, Plan.of(manifest, 0, replace(BASE, unit=u))) for u in ("target", "user"))
    targets = Counter()
    for user in users:
        targets[user.stratum] += min(user.train_events, 7) - 1
    assert by_target.tolist() == [targets[z] for z in range(3)]
    assert by_user.tolist() == [40, 72, 80]
    per_pass = torch.stack([b.step_counts_K for b in epochs(make(tiny, BASE), 1)]).sum(0)
    assert by_target.tolist() == per_pass.tolist()
    quotas = Plan.of(manifest, 0, VARIANTS["quota"])
    assert examples_K(folder, manifest, quotas).tolist() == by_target.tolist(), "of the data, whatever the stream makes of it"


# -- users ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resident", "lanes", "random-lanes"])
@pytest.mark.parametrize(("whom", "strata"), [("tail", {0, 1}), ("head", {2})])
def test_only_these_strata_are_drawn_each_user_once_a_pass(tiny, name, whom, strata):
    config, (_, manifest, users) = replace(VARIANTS[name], users=whom), tiny
    wanted = {u.key for u in users if u.stratum in strata and u.train_events >= 2}
    plan = Plan.of(manifest, 5, config)
    assert (plan.train_rows, plan.trainable_rows) == (len(wanted), 192)
    assert plan.steps_per_epoch == -(-len(wanted) // 24)
    seen = users_of(epochs(make(tiny, config), 3))
    assert set(seen) == wanted
    drawn = 3 * plan.steps_per_epoch * 24
    assert set(seen.values()) <= {drawn // len(wanted), -(-drawn // len(wanted))}
    expected = expected_targets_K(tiny[0], manifest, plan)
    assert {z for z in range(3) if expected[z] > 0} == strata
    assert {z for z in range(3) if expected_presence_K(manifest, plan)[z] > 0} == strata


def test_every_world_sees_the_same_tail(tiny):
    config = replace(BASE, users="tail")
    whole = {b.step: Counter(rows(b)) for b in make(tiny, config)}
    for size in (2, 3):
        together = {}
        for rank in range(size):
            for b in make(tiny, config, rank, size, accumulate=2):
                together.setdefault(b.step, Counter()).update(rows(b))
        assert together == whole


def test_the_digest_depends_on_the_chosen_users(tiny):
    _, manifest, _ = tiny
    digests = {whom: Plan.of(manifest, 5, replace(BASE, users=whom)).digest for whom in ("all", "tail", "head")}
    assert len(set(digests.values())) == 3
    loader = make(tiny, replace(BASE, users="tail"))
    with pytest.raises(UserError, match="an option of stream"):
        loader.load_state_dict(make(tiny, BASE).state_dict())


def test_an_order_of_all_users_keeps_the_digest_it_had_before_there_was_a_choice():
    """Checkpoints of older runs go on."""
    plan = Plan.of(fake_manifest([[30], [90]], block_rows=10), 0, StreamConfig(batch_rows=20, lanes=10))
    assert plan.digest == "d9041fddf9ff79ce31e44d5a97f0e67502c9dda9849497e8ca69da290f124500"


def test_quotas_within_the_tail(tiny):
    _, manifest, _ = tiny
    config = replace(BASE, composition="quota", users="tail")
    assert [pool.quota for pool in Plan.of(manifest, 0, config).pools] == [12, 12], "equal shares of those that are there"
    with pytest.raises(
        UserError, match=r"requests 8 rows of stratum 2 in every step, but none of its users is trained on; set it to 0"
    ):
        Plan.of(manifest, 0, replace(config, quotas=(8, 8, 8)))


def test_fewer_users_than_a_batch_are_visited_more_than_once_a_step():
    """As in any small data set: the draws are permutation after permutation."""
    manifest = fake_manifest([[200], [7]], block_rows=10)
    plan = Plan.of(manifest, 0, StreamConfig(batch_rows=20, lanes=10, users="head"))
    assert (plan.train_rows, plan.steps_per_epoch) == (7, 1)
    drawn = [row for step in range(7) for draw in plan.draws(step, range(10)) for row in draw.rows.tolist()]
    assert set(Counter(drawn).values()) == {20}


def test_refused_with_a_single_stratum(tiny):
    single = fake_manifest([[30]], block_rows=10)
    for whom in ("tail", "head"):
        with pytest.raises(UserError, match=rf"`users`={whom}: data set 'fake' has only one stratum.*use `users`=all"):
            Plan.of(single, 0, StreamConfig(batch_rows=20, lanes=10, users=whom))
    with pytest.raises(UserError, match=r"no head user with two training events, so `users`=head leaves no user"):
        Plan.of(fake_manifest([[30], []], block_rows=10), 0, StreamConfig(batch_rows=20, lanes=10, users="head"))
    with pytest.raises(ValueError, match=r"users must be one of all, tail, head; got 'tial' \(did you mean 'tail'\?\)"):
        StreamConfig(users="tial")
    with pytest.raises(ValueError, match=r"unit must be one of target, user; got 'users' \(did you mean 'user'\?\)"):
        StreamConfig(unit="users")


@pytest.mark.parametrize(
    ("bounds", "head_from", "first"),
    [
        ((1, 4, 9), 9, 2),
        ((1, 4, 9), 8, 2),
        ((1, 4, 9), 5, 1),
        ((1, 4, 9), 6, 2),
        ((1, 4, 9), 100, 2),
        ((1, 4, 9), 1, 1),
        ((1,), 5, 1),
    ],
)
def test_the_head_begins_at_the_stratum_nearest_to_its_cut(bounds, head_from, first):
    """By ratio, the higher one when equally near (4 to 6 as 6 to 9); everybody is never the head."""
    assert Strata(bounds, (1,) * len(bounds), (1,) * len(bounds), head_from).first_head == first


def test_left_out_users_are_reported(capsys):
    manifest = fake_manifest([[1200], [400]], block_rows=10)
    say_visits(Plan.of(manifest, 0, StreamConfig(batch_rows=20, lanes=10, users="tail")))
    assert capsys.readouterr().out == "stream.users=tail: training on 1,200 of 1,600 users (75.0%); evaluation is on all\n"
