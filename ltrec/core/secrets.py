"""Masks keys, tokens and passwords in everything that leaves a process: output, logs, provenance, W&B, tracebacks.

    by shape     keys that say whose they are: AKIA..., ghp_..., hf_..., sk-..., xoxb-..., AIza..., eyJ..., wandb_v1_..., PEM
    by context   the password in an address, the value behind a name that speaks of a secret (`api_key=`, `--token`, `Bearer`)
    by value     what the caller knows to be secret, such as the value of WANDB_API_KEY

Forty hex digits are an older W&B key and also a git commit, a SHA-1 or an item id. They are masked where the context indicates
key (the rules above, or `login`), and as a bare word of a command line, where nothing else of that shape belongs; never behind
`commit`, and never as the value of another setting, so that `name=$(git rev-parse HEAD)` stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

STARS = "***"

_NAME = (
    r"[\w.\[\]-]*(?:passw(?:or)?ds?(?![a-z])|passwd|passphrase|secrets?(?![a-z])|credentials?|(?<![a-z])token(?![a-z])"
    r"|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|auth[_-]?key|wandb[_-]?key|ssh[_-]?key|encryption[_-]?key)[\w.\[\]-]*"
)
"""A name that speaks of a secret. `user_key`, `max_tokens` and `tokenizer` do not."""

_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?!\*\*\*)[^\s"',;&)\]}]+)"""

_SHAPES = (
    r"wandb_v\d+_\w{16,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}(?:[:/, \t]+[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=]))?",  # id, and the secret where it follows
    r"gh[pousr]_[A-Za-z0-9]{16,}",
    r"github_pat_\w{16,}",
    r"glpat-[\w-]{16,}",
    r"hf_[A-Za-z0-9]{16,}",
    r"sk-(?:proj|ant|svcacct|admin|or)-[\w-]{16,}",
    r"sk-[A-Za-z0-9]{20,}",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"xapp-[A-Za-z0-9-]{10,}",
    r"AIza[\w-]{35}",
    r"ya29\.[\w-]{16,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[\w-]{40,}",
    r"eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?",
)

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL), STARS),
    (re.compile(r"://[^/@\s'\"]*@"), f"://{STARS}@"),
    (re.compile(r"(?i)([?&](?:[\w-]*(?:token|key|secret|sig|signature|password|credential|auth))=)[^&\s#'\"]+"), rf"\1{STARS}"),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s{0,2}[:=]\s{0,2}['\"]?(?:bearer|basic|token)?\s*)[^\s'\",]+"),
        rf"\1{STARS}",
    ),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{12,}"), rf"\1{STARS}"),
    (re.compile("(?<![A-Za-z0-9])(?:" + "|".join(_SHAPES) + ")"), STARS),
    (re.compile(rf"(?i)(?<![\w.-])({_NAME}['\"]?\s{{0,2}}[:=]\s{{0,2}}){_VALUE}"), rf"\1{STARS}"),
    (re.compile(rf"(?i)(?<![\w.-])(--?{_NAME}\s+)(?!-){_VALUE}"), rf"\1{STARS}"),
    (re.compile(r"(?i)\b(login\s+(?:--\S+\s+)*)[0-9a-f]{40}\b"), rf"\1{STARS}"),
    (re.compile(r"(?<!commit)(?<!revision)(?<!sha1)(?<!tree)(?<!at)(?<![:=-])(^|\s)[0-9a-fA-F]{40}(?=\s|$)"), rf"\1{STARS}"),
)

_SECRET_NAME = re.compile(rf"(?i){_NAME}")
_SHORTEST_KNOWN = 6


def masked(text: str, known: Collection[str] = ()) -> str:
    """The text with stars for what looks like a secret, and for the `known` ones wherever they are."""
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, STARS)
    for pattern, stars in _RULES:
        text = pattern.sub(stars, text)
    return text


def masked_tree(value: Any, known: Collection[str] = ()) -> Any:
    """The same for a tree of dicts and lists: texts are masked, and values whose name suggests a secret."""
    if isinstance(value, Mapping):
        return {k: STARS if isinstance(v, str) and speaks_of_secret(str(k)) else masked_tree(v, known) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(masked_tree(element, known) for element in value)
    if isinstance(value, str):
        return value if re.fullmatch("[0-9a-fA-F]{40}", value) and value not in known else masked(value, known)
    return value


def speaks_of_secret(name: str) -> bool:
    """Whether a setting or variable of this name holds a secret."""
    return _SECRET_NAME.fullmatch(name) is not None


def holds_secret(text: str, known: Collection[str] = ()) -> bool:
    """Whether there is something to mask in a text."""
    return masked(text, known) != text


def secrets_of(variables: Mapping[str, str]) -> set[str]:
    """The values of those environment variables whose name speaks of a secret; not short ones, which are too common to be looked
    for, nor paths, such as that of a file with credentials."""
    named = (value for name, value in variables.items() if speaks_of_secret(name))
    return {value for value in named if len(value) >= _SHORTEST_KNOWN and not value.startswith("/")}
