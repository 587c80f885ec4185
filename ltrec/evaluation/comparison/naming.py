"""What to call a method of which several training seeds were run: `joint` for the runs joint-1, joint-2 and joint-3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from ltrec.core.counting import counted

_SEED = re.compile(r"(?:[-_.=]+(?:seeds?|s)?|seeds?)[-_.=]*$")
"""What is left of a seed's mark once its number is gone: ``-``, ``_s``, ``-seed-``."""


def common_name(names: Sequence[str]) -> str:
    """The part that the names of one method's runs share, without the mark of the seed; a single name as it is.

    Names that share nothing give the first and how many follow: ``plain and 2 more``.
    """
    if len(set(names)) == 1:
        return names[0]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in alike)
    if all(not rest or rest[0].isdigit() for rest in (name[len(shared) :] for name in names)):
        shared = shared.rstrip("0123456789")  # joint-10 and joint-11 share a digit of their seeds
    return _SEED.sub("", shared) or f"{names[0]} and {counted(len(names) - 1, 'more', 'more')}"
