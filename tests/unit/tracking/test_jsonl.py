"""metrics.jsonl: strict JSON, append-only, cut back exactly."""

import json
import math
import os

import pytest
import torch

from ltrec.tracking.jsonl import JsonlLogger, what_is_wrong


def read(path):
    lines = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "digest"} for line in lines]


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


def test_the_chain_goes_on_after_a_cut_and_in_another_process(tmp_path):
    whole, cut = (JsonlLogger(tmp_path / name) for name in ("whole.jsonl", "cut.jsonl"))
    for step in range(6):
        whole.log_metrics({"a": step}, step)
    for step in range(4):
        cut.log_metrics({"a": step}, step)
    size = cut.size() // 2
    JsonlLogger(cut.path).truncate(size)
    again = JsonlLogger(cut.path)
    for step in range(2, 6):
        again.log_metrics({"a": step}, step)
    assert cut.path.read_bytes() == whole.path.read_bytes()
    assert again.digest() == JsonlLogger(cut.path).digest() != ""


def test_a_cut_within_a_line_leaves_no_half_of_it(tmp_path):
    """The file is not what was counted: it is damaged, and must not be damaged further."""
    logger = JsonlLogger(tmp_path / "m.jsonl")
    for step in range(3):
        logger.log_metrics({"a": step}, step)
    logger.truncate(logger.size() - 5)
    logger.log_metrics({"a": 20}, 2)
    assert [line["a"] for line in read(logger.path)] == [0, 1, 20]


def test_what_was_logged_is_on_the_disk_before_it_is_counted(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    logger = JsonlLogger(tmp_path / "m.jsonl")
    logger.flush()
    assert done == []
    logger.log_metrics({"a": 1}, 1)
    logger.flush()
    assert done == [str(logger.path), str(tmp_path)]


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (lambda b: b, None),
        (lambda b: b + b'{"step": 9, "torn', None),
        (lambda b: b[:50] + bytes([b[50] ^ 1]) + b[51:], "line 1 does not match its digest, or the line before it is lost"),
        (lambda b: b[b.index(b"\n") + 1 :], "line 1 does not match its digest, or the line before it is lost"),
        (lambda b: b[:-9], "line 3 does not match its digest, or the line before it is lost"),
        (lambda b: b[: b.index(b"\n") + 1], "bytes are there"),
        (lambda b: b"", "0 of 1"),
        (lambda b: b"{}\n" * 62, "its lines are another run's"),
    ],
)
def test_what_has_become_of_the_lines_that_were_counted(tmp_path, spoil, wrong):
    logger = JsonlLogger(tmp_path / "m.jsonl")
    for step in range(3):
        logger.log_metrics({"a": 1 / (step + 3)}, step)
    size, digest = logger.size(), logger.digest()
    logger.path.write_bytes(spoil(logger.path.read_bytes()))
    found = what_is_wrong(logger.path, size, digest)
    assert found is None if wrong is None else wrong in found


def test_a_lost_file_is_told(tmp_path):
    assert what_is_wrong(tmp_path / "none.jsonl", 7, "ab") == "0 of 7 bytes are there"
    assert what_is_wrong(tmp_path / "none.jsonl", 0, "") is None


def test_truncate_before_the_first_line(tmp_path):
    JsonlLogger(tmp_path / "m.jsonl").truncate(0)
    assert not (tmp_path / "m.jsonl").exists()
