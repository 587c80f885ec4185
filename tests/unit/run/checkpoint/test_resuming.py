"""A checkpoint that does not belong here is refused in one line that says what differs."""

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.run.train import train
from tests.support.tiny_run import checkpoint, tiny_config, tiny_data


@pytest.fixture(scope="module")
def old(data, tmp_path_factory):
    return train(tiny_config(data, tmp_path_factory.mktemp("old"), "trainer.max_epochs=1")).checkpoints / "last.ckpt"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.width=16"], r"holds another model \(backbone\.\S+ is \(.*\) there, \(.*\) here\)"),
        (["model.blocks=1"], r"holds another model \(backbone\.\S+ is \(.*\) there, absent here\)"),
        (["seed=9"], r"checkpoint has seed 0, this run has 9"),
        (["stream.batch_rows=48"], r"checkpoint has batch order"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(data, old, tmp_path, words, message):
    with pytest.raises(UserError, match=message) as caught:
        train(tiny_config(data, tmp_path, f"resume={old}", *words))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r" / "checkpoints" / "last.ckpt").exists()


def test_a_checkpoint_of_another_data_set_is_refused(old, tmp_path):
    other = tiny_data(tmp_path / "other", seed=4)
    with pytest.raises(UserError, match=r"was trained on another data set \(digest \w{12}, here \w{12}\)"):
        train(tiny_config(other, tmp_path, f"resume={old}"))
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, {"model": 1}])
def test_a_checkpoint_of_another_program_is_refused(data, tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match=r"was not written by 'ltrec train'"):
        train(tiny_config(data, tmp_path, f"resume={tmp_path}/other.ckpt"))
    assert not (tmp_path / "r").exists()


def test_a_new_run_resumes_a_named_checkpoint_like_the_old_one(data, old, tmp_path):
    whole = train(tiny_config(data, tmp_path, "name=whole"))
    run = train(tiny_config(data, tmp_path, "name=new", f"resume={old}"))
    mine, good = checkpoint(run.path), checkpoint(whole.path)
    assert mine["global_step"] == good["global_step"] == 12
    assert mine["StreamDataModule"] == good["StreamDataModule"]
