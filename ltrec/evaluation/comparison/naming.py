"""The name of a method with several training seeds: `joint` for the runs joint-1, joint-2 and joint-3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from ltrec.core.counting import counted

_SEED = re.compile(r"(?:[-_.=]+(?:seeds?|s)?|seeds?)[-_.=]*$")
"""The rest of a seed's suffix without the number: ``-``, ``_s``, ``-seed-``."""


def common_name(names: Sequence[str]) -> str:
    """The common part of the names of a method's runs, without the suffix of the seed; a single name is returned as it is.

    For names with nothing in common, the first one and the number of others: ``plain and 2 more``.
    """
    if len(set(names)) == 1:
        return names[0]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in alike)
    if all(not rest or rest[0].isdigit() for rest in (name[len(shared) :] for name in names)):
        shared = shared.rstrip("0123456789")  # joint-10 and joint-11 share a digit of their seeds
    return _SEED.sub("", shared) or f"{names[0]} and {counted(len(names) - 1, 'more', 'more')}"
