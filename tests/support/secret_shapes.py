"""Keys and passwords as their makers shape them, drawn by hypothesis or from a seed. None is or was anybody's."""

from __future__ import annotations

import string
from random import Random

_ALNUM = string.ascii_letters + string.digits
_URL = _ALNUM + "-_"

# name -> (what stands before, what it is made of, how long, what stands behind); the whole is the secret
SHAPES: dict[str, tuple[str, str, int, str]] = {
    "W&B, new": ("wandb_v1_", _ALNUM + "_", 77, ""),
    "AWS id": ("AKIA", string.ascii_uppercase + string.digits, 16, ""),
    "AWS session id": ("ASIA", string.ascii_uppercase + string.digits, 16, ""),
    "GitHub": ("ghp_", _ALNUM, 36, ""),
    "GitHub app": ("gho_", _ALNUM, 36, ""),
    "GitHub, fine": ("github_pat_", _ALNUM + "_", 82, ""),
    "GitLab": ("glpat-", _URL, 20, ""),
    "Hugging Face": ("hf_", string.ascii_letters, 34, ""),
    "OpenAI": ("sk-", _ALNUM, 48, ""),
    "OpenAI project": ("sk-proj-", _URL, 100, ""),
    "Anthropic": ("sk-ant-api03-", _URL, 90, ""),
    "Slack": ("xoxb-", string.digits + "-" + string.ascii_letters, 50, ""),
    "Google": ("AIza", _URL, 35, ""),
    "Stripe": ("sk_live_", _ALNUM, 24, ""),
    "JWT": ("eyJ", _URL, 30, ".eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"),
    "PEM": ("-----BEGIN RSA PRIVATE KEY-----\n", _ALNUM + "+/\n", 200, "\n-----END RSA PRIVATE KEY-----"),
}

CONTEXTS: tuple[str, ...] = (
    "password={}",
    "MY_API_KEY={}",
    "db.password: {}",
    "--token {}",
    "--api-key={}",
    "aws_secret_access_key = {}",
    '{{"secret": "{}"}}',
    "https://me:{}@host/x",
    "s3://bucket/x?X-Amz-Signature={}&y=1",
    "https://host/x?token={}",
    "https://host/?a=b&key={}",
    "Authorization: Bearer {}",
    "wandb_key={}",
    "client_secret={}",
)
"""What makes any word a secret."""


def drawn(name: str, random: Random) -> str:
    """A secret of a shape."""
    before, letters, length, behind = SHAPES[name]
    return before + "".join(random.choice(letters) for _ in range(length)) + behind
