"""metrics.jsonl: strict JSON, append-only, cut back exactly."""

import json
import math

import pytest
import torch

from ltrec.tracking.jsonl import JsonlLogger


def read(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_lines_are_strict_json_and_numbers_survive_exactly(tmp_path):
    logger = JsonlLogger(tmp_path / "m.jsonl")
    logger.log_metrics({"a": 1 / 3, "b": 7, "c": torch.tensor(0.1, dtype=torch.float64)}, step=3)
    logger.log_metrics({"a": math.nan, "b": math.inf, "c": -math.inf}, step=4)
    assert read(logger.path) == [{"step": 3, "a": 1 / 3, "b": 7, "c": 0.1}, {"step": 4, "a": None, "b": None, "c": None}]


def test_every_line_is_on_disk_at_once(tmp_path):
    logger = JsonlLogger(tmp_path / "m.jsonl")
    assert logger.size() == 0
    sizes = []
    for step in range(3):
        logger.log_metrics({"a": step}, step)
        sizes.append(logger.size())
    assert sizes == [logger.path.stat().st_size * (n + 1) // 3 for n in range(3)]


def test_truncate_forgets_what_came_after_and_nothing_else(tmp_path):
    logger = JsonlLogger(tmp_path / "m.jsonl")
    logger.log_metrics({"a": 1}, 1)
    size = logger.size()
    logger.log_metrics({"a": 2}, 2)
    with open(logger.path, "a") as file:
        file.write('{"step": 3, "torn')
    logger.truncate(size)
    logger.log_metrics({"a": 20}, 2)
    assert [line["a"] for line in read(logger.path)] == [1, 20]
    logger.truncate(10**6)
    assert len(read(logger.path)) == 2, "a longer size leaves the file alone"


def test_truncate_before_the_first_line(tmp_path):
    JsonlLogger(tmp_path / "m.jsonl").truncate(0)
    assert not (tmp_path / "m.jsonl").exists()
