"""The one exception a user is meant to see: a single line that names the bad value and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in input, config or environment. The command line prints it on one line and exits with code 2."""


class Stopped(Exception):
    """Training was asked to stop, saved a checkpoint and stopped. Not a failure: the same command resumes from there.

    Args:
        step: it was saved at.
        requeue: the job is to be started again.
        interrupted: a person pressed Ctrl-C.
        saved: the checkpoint.
    """

    def __init__(self, step: int, *, requeue: bool, interrupted: bool = False, saved: object = None) -> None:
        where = "" if saved is None else f", saved in {saved}"
        super().__init__(f"stopped at step {step}, as asked{where}")
        self.step, self.requeue, self.interrupted = step, requeue, interrupted


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest known name, or an empty string when nothing is close."""
    close = closest(name, known)
    return "" if close is None else f" (did you mean {close!r}?)"


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, whatever the case of its letters; None when nothing is close."""
    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    return next((folded[near] for near in difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)), None)


def first_line(error: Exception) -> str:
    """A library's message without its stack notes."""
    return str(error).partition("\n")[0]


def diverged(what: str, step: int) -> UserError:
    """The one line about a training run whose loss or weights are not finite."""
    return UserError(
        f"training diverged: {what} after step {step}; start again under another name=... with a lower `lr` or with "
        "`clip_norm`=1. The checkpoints on disk are from before"
    )
