"""Settings of a call: files, words, mappings and keyword arguments become one list of words, in order."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from ltrec.api.session import IN_THE_CALL
from ltrec.api.settings import files_and_overrides, overrides_of
from ltrec.config.load import load
from ltrec.core.errors import UserError

QUICKSTART = "conf/experiment/quickstart.yaml"


def config_of(*settings, **overrides):
    files, words = files_and_overrides(settings, overrides)
    return load(files, words, where=IN_THE_CALL)


def test_later_settings_win():
    config = config_of({"optim.lr": 1.0}, QUICKSTART, {"optim": {"lr": 2.0}, "seed": 1}, "seed=2", name="mine", optim={"lr": 3e-5})
    assert config == load([QUICKSTART], ["optim.lr=3e-5", "seed=2", "name=mine"])


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("name", "0.10", "0.10"),
        ("out", Path("a b/c"), "a b/c"),
        ("optim.lr", np.float32(0.5), 0.5),
        ("seed", np.int64(3), 3),
        ("optim.lr", 1e-05, 1e-05),
        ("evaluation.cutoffs", (5, 10), (5, 10)),
        ("evaluation.head_from", None, None),
        ("trainer.progress", False, False),
        ("prepare.delimiter", "\t", "\t"),
        ("prepare.where", 'event == "größe"', 'event == "größe"'),
        ("prepare.null_values", ["null", "~"], ("null", "~")),
    ],
)
def test_values_arrive_as_they_are(key, value, found):
    tree = functools.reduce(getattr, key.split("."), config_of({key: value}))
    assert tree == found


def test_no_setting_is_no_word():
    assert overrides_of({"optim": {}}) == [] and files_and_overrides([], {}) == ([], [])


def test_what_is_wrong_is_said_to_stand_in_the_call():
    with pytest.raises(UserError, match=r"'optim.lr' in the call must be float; got 'x'"):
        config_of({"optim.lr": "x"})
    with pytest.raises(UserError, match=r"unknown key 'optim.rate' in the call"):
        config_of(optim={"rate": 1})
    with pytest.raises(UserError, match=r"'optim.lr' in the call must be float; got nan"):
        config_of({"optim.lr": float("nan")})


def test_what_no_config_can_hold_is_refused():
    with pytest.raises(UserError, match=r"'optim.lr' in the call is a object, which no config can hold"):
        config_of({"optim.lr": object()})
    with pytest.raises(UserError, match="3 is neither a config file nor a mapping"):
        config_of(3)
