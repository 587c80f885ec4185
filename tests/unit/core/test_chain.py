"""Every flipped bit and every lost line of a chain is found; other people's lines are taken as they are."""

import json
import random

import pytest

from ltrec.core.storage.chain import digest_of, first_broken, linked


@pytest.fixture
def lines():
    made, before = [], ""
    for step in range(12):
        line, before = linked({"step": step, "lr": 1e-3 / (step + 1), "none": None}, before)
        made.append(line)
    return made


def test_lines_are_json_and_hold_what_they_were_given(lines):
    assert [{k: v for k, v in json.loads(line).items() if k != "digest"} for line in lines] == [
        {"step": step, "lr": 1e-3 / (step + 1), "none": None} for step in range(12)
    ]
    assert [json.loads(line)["digest"] for line in lines] == [digest_of(line) for line in lines]
    assert first_broken(lines) is None


def test_every_flipped_bit_is_found_at_its_line_or_the_next(lines):
    draw = random.Random(0)
    for number, line in enumerate(lines, 1):
        for place in range(len(line)):
            spoilt = bytearray(line.encode())
            spoilt[place] ^= 1 << draw.randrange(8)
            changed = [*lines[: number - 1], spoilt.decode(errors="replace"), *lines[number:]]
            assert first_broken(changed) in (number, number + 1)


def test_lost_double_and_exchanged_lines_are_found(lines):
    for place in range(len(lines) - 1):
        assert first_broken(lines[:place] + lines[place + 1 :]) == place + 1
        assert first_broken([*lines[: place + 1], *lines[place:]]) == place + 2
        assert first_broken([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]) == place + 1


def test_lines_without_any_digest_are_somebody_else_s():
    assert first_broken(['{"step": 1}', '{"step": 2}']) is None
    assert first_broken([]) is None
    assert (digest_of('{"step": 1}'), digest_of("")) == ("", "")
