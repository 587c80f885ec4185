"""SIGKILL of a rank or of the whole job, again and again: PIN through both its stages in two processes ends as if undisturbed.

`make test-soak` keeps what it has done in runs/soak (LTREC_SOAK_FOLDER names another folder): interrupted, it goes on there; once
it has ended well, it begins anew.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.ml100k import prepared_ml100k, raw_ml100k
from tests.support.moments import VICTIMS, Course, moment
from tests.support.soak import Soak, figures
from tests.support.tiny_run import tiny_data, tiny_words

KILLS = 30
EVERY_STEP = ["trainer.log_every_steps=1", "trainer.checkpoint_every_steps=3", "trainer.patience=0", "trainer.accelerator=cpu"]
SMALL = ["model.width=32", "model.blocks=1", "model.dropout=0.3", "stream.max_len=20", "trainer.threads=1"]
PIN = [*(str(ROOT / "conf" / f"{name}.yaml") for name in ("data/ml-100k", "model/sasrec", "method/pin"))]
# A rate at which the trunk's metric first falls after a few epochs, so that both stages are long.
STAGES = ["optim.lr=0.01", "plugin.switch.at=1", "trainer.max_epochs=30"]


@pytest.fixture
def say(capsys):
    """A line on the screen, at once."""

    def line(text):
        with capsys.disabled():
            print(f"\n{text}", end="", flush=True)

    return line


def test_the_kills_are_spread_over_the_run_and_aim_at_everything():
    course = Course(steps=300, epoch=10, switch=60, startup=5.0, pace=0.1)
    drawn = [moment(number, KILLS, course) for number in range(KILLS)]
    assert drawn == [moment(number, KILLS, course) for number in range(KILLS)], "a second try meets the same fate"
    assert min(Counter(each.victim for each in drawn)[victim] for victim in VICTIMS) >= 6
    aims = Counter(each.aim for each in drawn)
    assert set(aims) == {"start-up", "step", "checkpoint", "validation", "switch"} and min(aims.values()) >= 3
    assert [each.step for each in drawn if each.aim == "switch"] == [59, 60, 61]
    assert all(each.step % 10 == 0 for each in drawn if each.aim == "validation")
    assert all(1 <= each.step <= 290 and abs(each.step / (290 / KILLS) - number) < 3 for number, each in enumerate(drawn))


@pytest.mark.slow
def test_pin_killed_three_times_about_its_switch(tmp_path, say):
    words = [*tiny_words(tiny_data(tmp_path / "data"), tmp_path, *EVERY_STEP), "gradients.name=stratified"]
    words = [word for word in words if not word.startswith(("out=", "name="))]
    pin = ["plugin.name=bottleneck", "plugin.switch.by=epoch", "plugin.switch.at=3", "trainer.max_epochs=8"]
    ledger = Soak(tmp_path / "soak", [*words, *pin], 3, say).run()
    assert [kill.aim for kill in ledger.kills] == ["switch"] * 3
    say(figures(ledger))


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_thirty_kills_on_movielens(say):
    folder = Path(os.environ.get("LTREC_SOAK_FOLDER", ROOT / "runs" / "soak")).absolute()
    data, sources = folder / "data", f"prepare.sources=[{raw_ml100k()}]"
    if not (data / "manifest.json").exists():
        prepared_ml100k(data)
    ledger = Soak(folder, [*PIN, sources, f"data.path={data}", *SMALL, *EVERY_STEP, *STAGES], KILLS, say).run()
    met = Counter(kill.met for kill in ledger.kills)
    assert {"start-up", "step", "checkpoint", "validation"} <= set(met), f"luck left something out: {met}"
    say(figures(ledger) + "\n")
