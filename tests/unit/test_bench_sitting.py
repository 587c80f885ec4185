"""benchmarks.longtail: what a sitting begins, and in which order."""

import sys

import pytest

from benchmarks.longtail import __main__ as command
from benchmarks.longtail import tables
from benchmarks.longtail.results import Results
from benchmarks.longtail.sitting import Cell, Sitting
from benchmarks.longtail.slots import Slots
from tests.support.tiny_run import tiny_data

CELL = Cell("music", "sasrec", tables.BASE)


class Begun:
    """Children that begin nothing, and tell what they were asked for."""

    def __init__(self):
        self.asked = []

    def idle(self, label):
        return False

    def do(self, run, phase, asks):
        self.asked.append((phase, run.setting, run.seed))


def begun(tmp_path, **given):
    tiny_data(tmp_path / "data" / CELL.log)
    children = Begun()
    Sitting(Results(tmp_path / "results"), tmp_path, children, Slots(1), **given).chain(0, CELL, [0, 1])
    return children.asked


def test_every_setting_is_tried_before_one_is_chosen(tmp_path):
    asked = begun(tmp_path)
    assert {setting for _, setting, _ in asked} == set(tables.SASREC)
    assert {(task, seed) for task, _, seed in asked} == {("tune", 0)}


def test_a_setting_that_was_chosen_before_is_trained_at_once(tmp_path):
    asked = begun(tmp_path, given="distance")
    assert sorted(asked) == [("final", "distance", 0), ("final", "distance", 1), ("two", "distance", 0)]


def test_a_setting_that_a_backbone_does_not_have_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["longtail", "--logs", str(tmp_path), "--setting", "distance"])
    with pytest.raises(SystemExit):
        command.arguments()
    assert "--setting distance: gru4rec has narrow, wide, light, gentle" in capsys.readouterr().err
