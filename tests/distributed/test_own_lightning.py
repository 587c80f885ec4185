"""Other people's Lightning code in two processes: the example, every mode with a plain DataLoader, and faults of one process."""

import re
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.core.errors import UserError
from ltrec.strategy import StratifiedDDPStrategy, StratifiedFSDP2Strategy, StratifiedLoader, StratifiedOptions
from tests.support.closeness import assert_close, assert_same
from tests.support.commands import ROOT, environment
from tests.support.own_module import PRIOR, STRATA, Own, Validating, bearing_lightning, naive, quiet, rows
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn

ROWS = 44
MODES = {
    "by name": ("stratified_ddp", None),
    "per_stratum": (StratifiedDDPStrategy, "backdoor"),
    "weighted": (StratifiedDDPStrategy, "backdoor"),
    "replay": (StratifiedDDPStrategy, "upgrad"),
    "fsdp2": (StratifiedFSDP2Strategy, "backdoor"),
}


def strategy_of(name):
    make, rule = MODES[name]
    if rule is None:
        return make
    made = RULES[rule].make(prior_K=PRIOR, empty=Hajek(PRIOR, torch.ones(STRATA)))
    mode = name if name in ("per_stratum", "weighted", "replay") else "auto"
    return make(options=StratifiedOptions(made, PRIOR, rule, mode), process_group_backend="gloo")


def loader(data, **options):
    return StratifiedLoader(DataLoader(data, batch_size=4), lambda batch: batch["z"], num_strata=STRATA, **options)


def fit(name, batches, accumulate):
    module = Validating()
    trainer = quiet(strategy_of(name), devices=2, max_epochs=2, accumulate_grad_batches=accumulate)
    try:
        with bearing_lightning():
            trainer.fit(module, batches, DataLoader(rows(6), batch_size=2))
    except UserError as refusal:
        return str(refusal)
    state = trainer.strategy.lightning_module_state_dict()
    return state, trainer.global_step, module.validated


def run(rank):
    act_as_rank(rank, 2)
    found = {name: fit(name, loader(rows(ROWS)), 1 if name == "replay" else 2) for name in MODES}
    found["unequal"] = fit("by name", loader(rows(12 + 8 * rank), distributed_sampler=False), 1)
    found["one at fault"] = fit("by name", loader(rows(8)) if rank else DataLoader(rows(8), batch_size=4), 1)
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return spawn(run, 2, tmp_path_factory.mktemp("own") / "store", timeout=240)


def global_steps(accumulate):
    """DistributedSampler deals rows out in turns; 22 rows a process are 6 micro-batches, the last of them short."""
    data = rows(ROWS)
    return [
        [row for rank in range(2) for row in data[rank::2][start : start + 4 * accumulate]]
        for start in range(0, ROWS // 2, 4 * accumulate)
    ]


@pytest.mark.parametrize("name", ["by name", "per_stratum", "weighted", "fsdp2"])
def test_two_epochs_equal_the_definition_over_the_global_batches(ranks, name):
    expected = naive(global_steps(2) * 2)
    state, steps, validated = ranks[0][name]
    assert steps == 6 and validated
    assert_close(state, expected, 1e-12)
    if name != "fsdp2":
        assert_same(ranks[1][name][0], state)


def test_replay_trains_with_a_gram_rule(ranks):
    (state, steps, _), (other, _, _) = (rank["replay"] for rank in ranks)
    assert steps == 12
    assert_same(state, other)
    moved = [not torch.equal(state[name], start) for name, start in Own().state_dict().items()]
    assert all(moved)


def test_processes_with_different_numbers_of_batches_are_refused_and_not_left_waiting(ranks):
    assert ranks[0]["unequal"] == ranks[1]["unequal"]
    assert re.match("processes have different numbers of batches in an epoch, 3 to 5: .*DistributedSampler", ranks[0]["unequal"])


def test_a_fault_of_one_process_ends_both_in_the_same_line(ranks):
    assert ranks[0]["one at fault"] == ranks[1]["one at fault"]
    assert "gave a dict; wrap it" in ranks[0]["one at fault"]


def test_the_example_shows_that_its_update_is_the_closed_form():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "own_lightning.py"],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    found = re.search(r"1 step in 2 processes; largest difference from the closed form: (\S+)", done.stdout)
    assert done.returncode == 0 and found is not None, done.stderr
    assert float(found[1]) < 1e-6
