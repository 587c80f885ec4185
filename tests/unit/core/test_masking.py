"""No key of any shape survives the masker, and nothing else is touched by it."""

from __future__ import annotations

import hashlib
import string
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.secrets import STARS, holds_secret, masked, masked_tree, secrets_of, speaks_of_secret
from tests.support.secret_shapes import CONTEXTS, SHAPES, drawn

randoms = st.integers(0, 2**32).map(Random)
words = st.text(string.ascii_letters + string.digits, min_size=8, max_size=50)
around = st.sampled_from(["", "x ", "see (", "['", '"', "a=", "tags: [", "\n", "https://h/", ", "])


@settings(max_examples=300)
@given(st.sampled_from(sorted(SHAPES)), randoms, around, around)
def test_a_key_of_any_shape_is_masked_wherever_it_is(name: str, random: Random, before: str, behind: str) -> None:
    secret = drawn(name, random)
    text = masked(f"{before}{secret} {behind}")
    assert secret not in text and secret[12:-4] not in text and STARS in text


@settings(max_examples=300)
@given(st.sampled_from(CONTEXTS), words)
def test_any_word_is_masked_where_the_context_says_secret(context: str, word: str) -> None:
    text = masked(f"ltrec train {context.format(word)} name=x")
    assert word not in text.replace("ltrec train", "").replace("name=x", "") and text.endswith(" name=x")


ORDINARY = [
    "ltrec train conf/a.yaml optim.lr=1e-3 name=joint-seed-1 data.path=data/ml-100k stream.batch_rows=240",
    f"digest {hashlib.sha256(b'x').hexdigest()}",
    f"commit {hashlib.sha1(b'x').hexdigest()}",
    f"name={hashlib.sha1(b'x').hexdigest()}",
    f"name: {hashlib.sha1(b'x').hexdigest()}",
    f"- {hashlib.sha1(b'x').hexdigest()}",
    f"user '{hashlib.sha1(b'x').hexdigest()}' has no items",
    f"git+https://host/repo@{hashlib.sha1(b'x').hexdigest()}",
    "unknown key 'optim.lrr' on the command line (did you mean 'optim.lr'?)",
    "user_key=5 item_key=7 max_tokens=512 tokenizer=bpe author=me num_tokens: 9 key: 3 keys=4 monkey=1",
    "user_id:token\titem_id:token\ttimestamp:float",
    "sk-learn-experiment-on-movielens-100k risk-adjusted disk-1234567890123456789012",
    "https://host/path?user=me&page=3 s3://bucket/key/x.parquet me@host",
    "no API key is configured (wandb login, or WANDB_API_KEY)",
    "tracking.wandb=online: no secret was found; the token of a row is its item",
    "AKIA is a prefix, hf_ and ghp_ too; eyJ alone is none",
    "val/ndcg@10/stratum=0 0.1234 2023-01-01T00:00:00 12:30 1_000_000",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert masked(text) == text and not holds_secret(text)


@given(st.text(string.ascii_letters + string.digits + " ._/-=:,'()\n", max_size=200))
def test_masking_again_changes_nothing(text: str) -> None:
    assert masked(masked(text)) == masked(text)


def test_forty_hex_digits_are_a_key_where_the_context_says_so() -> None:
    key = "0a" * 20
    for text in (f"wandb login --relogin {key}", f"WANDB_API_KEY={key}", f"https://api:{key}@host", f"ltrec train {key}"):
        assert key not in masked(text)
    assert key not in masked(f"'{key}'", known={key}), "known, it is masked wherever it is"


def test_trees_are_masked_by_name_and_by_shape() -> None:
    commit, token = "5e" * 20, "hf_" + "a" * 34
    tree = {"git": {"commit": commit}, "api_key": "short", "tags": ("a", token), "list": [token, 7, None], "n": 1.5}
    assert masked_tree(tree) == {
        "git": {"commit": commit},
        "api_key": STARS,
        "tags": ("a", STARS),
        "list": [STARS, 7, None],
        "n": 1.5,
    }
    assert masked_tree({"x": commit}, known={commit}) == {"x": STARS}


def test_secrets_of_the_environment_are_known_by_their_names() -> None:
    variables = {"WANDB_API_KEY": "k" * 40, "HF_TOKEN": "abcdefg", "HOME": "/root", "PASSWORD": "x", "USER_KEY": "123456"}
    variables |= {"PWD": "/data/mine", "CREDENTIALS": "/etc/credentials.json", "SSH_AUTH_SOCK": "agent.1234"}
    assert secrets_of(variables) == {"k" * 40, "abcdefg"}
    assert speaks_of_secret("AWS_SECRET_ACCESS_KEY") and not speaks_of_secret("user_key") and not speaks_of_secret("tokenizer")
