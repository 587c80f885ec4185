"""Seeds and sweep files become runs."""

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.many_runs import expand_runs, seeds_of


@pytest.mark.parametrize(("text", "seeds"), [("0-2", [0, 1, 2]), ("7", [7]), ("0,3,7", [0, 3, 7]), ("0-1,10", [0, 1, 10])])
def test_seeds(text, seeds):
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "2-0", "1,,2", "-1", "0-2,1", "0-5000", "1;id"])
def test_values_that_are_not_seeds(text):
    with pytest.raises(UserError, match="--array-seeds"):
        seeds_of(text)


@pytest.fixture
def sweep(tmp_path):
    for rate in ("1e-3", "3e-3"):
        (tmp_path / f"lr-{rate}.yaml").write_text(f"optim:\n  lr: {rate}\n")
    return sorted(str(path) for path in tmp_path.glob("*.yaml"))


def test_one_run_keeps_its_name():
    [run] = expand_runs([], ["name=a", "seed=5"], [], [])
    assert (run.name, run.seed, run.tracking.group) == ("a", 5, None)


def test_every_file_with_every_seed(sweep):
    runs = expand_runs([], ["name=a"], sweep, [0, 4])
    assert [(run.name, run.seed, run.optim.lr, run.tracking.group) for run in runs] == [
        ("a-lr-1e-3-seed0", 0, 1e-3, "a"),
        ("a-lr-1e-3-seed4", 4, 1e-3, "a"),
        ("a-lr-3e-3-seed0", 0, 3e-3, "a"),
        ("a-lr-3e-3-seed4", 4, 3e-3, "a"),
    ]


def test_words_override_sweep_files_and_a_group_is_kept(sweep):
    runs = expand_runs([], ["name=a", "optim.lr=1", "tracking.group=g"], sweep, [])
    assert [run.optim.lr for run in runs] == [1, 1] and {run.tracking.group for run in runs} == {"g"}


def test_names_must_be_valid_and_differ(tmp_path, sweep):
    (tmp_path / "two words.yaml").write_text("seed: 1\n")
    with pytest.raises(UserError, match=r"a-two words.*letters, digits"):
        expand_runs([], ["name=a"], [str(tmp_path / "two words.yaml")], [])
    with pytest.raises(UserError, match="two runs would be called a-lr-1e-3"):
        expand_runs([], ["name=a"], [sweep[0], sweep[0]], [])
