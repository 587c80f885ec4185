"""A file that carries its own digest: every flipped bit of what it says is found, and it stays what it is to other readers."""

import json
import random

import pytest
import yaml

from ltrec.core.storage.seal import opened, sealed, sealed_text, text_is_broken, unsealed_text

TEXT = "name: a\noptim:\n  lr: 0.001\n"
VALUES = {"run_id": "7", "data": {"strata": ["1-2", "3+"], "share": 0.25}, "none": None}


def flipped(content: bytes):
    draw = random.Random(0)
    for place in range(len(content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << draw.randrange(7)
        yield bytes(spoilt)


def says_the_same_or_nothing(text: str) -> bool:
    """What marks the digest as one is hit: the rest stands, or YAML refuses it."""
    try:
        return yaml.safe_load(text) == yaml.safe_load(TEXT)
    except yaml.YAMLError:
        return True


def test_a_text_is_read_as_before_and_any_change_of_it_is_found():
    text = sealed_text(TEXT)
    assert yaml.safe_load(text) == yaml.safe_load(TEXT)
    assert unsealed_text(text) == TEXT and not text_is_broken(text) and not text_is_broken(TEXT)
    for content in flipped(text.encode()):
        spoilt = content.decode()
        assert text_is_broken(spoilt) or says_the_same_or_nothing(spoilt), spoilt
    for changed in (text.replace("0.001", "0.002"), text + "seed: 1\n", text[4:], text[:-3], text.replace("\n", "\r\n")):
        assert text_is_broken(changed), changed


def test_an_object_is_read_without_its_digest_and_any_change_of_it_is_found():
    text = json.dumps(sealed(VALUES), indent=2) + "\n"
    assert opened(text) == VALUES == opened(json.dumps(VALUES))
    for content in flipped(text.encode()):
        try:
            found = opened(content.decode(errors="replace"))
        except ValueError as error:
            assert str(error).startswith(("not JSON (", "it does not match its digest", "a JSON object is expected"))
        else:
            assert {key: value for key, value in found.items() if key in VALUES} == VALUES, "the name of the digest's key"


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "null", '{"a": NaN, "sha256": "0"}'])
def test_what_is_no_object_is_told(text):
    with pytest.raises(ValueError, match=r"not JSON|a JSON object is expected|match its digest|JSON compliant"):
        opened(text)
