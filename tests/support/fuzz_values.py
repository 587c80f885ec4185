"""Values that nobody should give, and trees in which one place is changed."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

NUMBERS = (0, -1, 1, 2**31, 2**63, 10**20, -(10**20), 0.5, 1e308, -1e308, 1e-320, float("inf"), float("-inf"), float("nan"))
WORDS = (
    *("", " ", "[/x]", "[bold]x", ":smile:", "x" * 300, "y/" * 3000, "é" * 200, "\u202e", "a\0b", "\udcff", "\x1b[2J", "%s{0}"),
    *(
        "null",
        "true",
        "1e3",
        "0x10",
        "NaN",
        "-",
        "--",
        "..",
        "/",
        "/dev/null",
        "~",
        "$(id)",
        "`id`",
        "'",
        '"',
        "a=b",
        "a:b",
    ),
    *("${oc.env:HOME}", "???", "&a", "*a", "!!python/object:os.system", "{", "[", "- ", "? ", "#", "\n", "\t", "\r\n"),
)


def nasty(random: Random, depth: int = 2) -> Any:
    """A value as JSON or YAML may give it."""
    kind = random.randrange(8 if depth else 5)
    if kind < 2:
        return random.choice(NUMBERS)
    if kind < 4:
        return random.choice(WORDS)
    if kind == 4:
        return random.choice([None, True, False])
    if kind == 5:
        return [nasty(random, depth - 1) for _ in range(random.randrange(4))]
    return {random.choice(["name", "path", "x", ""]): nasty(random, depth - 1) for _ in range(random.randrange(3))}


def places(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a tree of dicts and lists."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    return [here, *(place for key, value in inner for place in places(value, (*here, key)))] if here or inner else [here]


def changed(tree: Any, random: Random, make: Any = nasty) -> tuple[Any, tuple[Any, ...]]:
    """A copy in which one place holds another value, is gone, is doubled or has a neighbour, and that place."""
    tree = copy.deepcopy(tree)
    place = random.choice([p for p in places(tree) if p])
    holder = tree
    for key in place[:-1]:
        holder = holder[key]
    action = random.randrange(6)
    if isinstance(holder, tuple) or action < 4:
        tree = _put(tree, place, make(random))
    elif action == 4:
        del holder[place[-1]]
    elif isinstance(holder, dict):
        holder[random.choice(["extra", "", "digest", "name"])] = make(random)
    else:
        holder.append(copy.deepcopy(holder[place[-1]]))
    return tree, place


def _put(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    inner = _put(tree[place[0]], place[1:], value)
    if isinstance(tree, tuple):
        return (*tree[: place[0]], inner, *tree[place[0] + 1 :])
    tree[place[0]] = inner
    return tree


def damaged(content: bytes, random: Random) -> bytes:
    """The bytes, cut, with bits flipped, with a piece gone, doubled or full of zeros."""
    data, action = bytearray(content), random.randrange(6)
    begin = random.randrange(max(1, len(data)))
    end = min(len(data), begin + random.randrange(1, 64))
    if action == 0:
        return bytes(data[:begin])
    if action == 1:
        data[begin:end] = b""
    elif action == 2:
        data[begin:begin] = data[begin:end]
    elif action == 3:
        data[begin:end] = bytes(end - begin)
    elif action == 4:
        data[begin:end] = random.randbytes(end - begin)
    else:
        for _ in range(random.randrange(1, 4)):
            data[random.randrange(max(1, len(data)))] ^= 1 << random.randrange(8) if data else 0
    return bytes(data)
