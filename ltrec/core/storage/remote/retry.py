"""Repeats what a service at the other end of a wire fails to do, with growing pauses and an end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from ltrec.core.errors import UserError, first_line
from ltrec.core.secrets import masked

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_FINAL = ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH", "NO_SUCH_BUCKET", "UNRECOGNIZED_CLIENT")
"""What S3 answers, in pyarrow's words, where repeating does not help."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Repeats a call until it succeeds or `seconds` are over.

    Attributes:
        seconds: no call begins later than this after the first one; 0 = a single one.
    """

    seconds: float

    def call(self, place: str, attempt: Callable[[], T]) -> T:
        """What `attempt` returns.

        Args:
            place: the address, for the message.
            attempt: does the work; called again after any error but a UserError, and but those that stay.

        Raises:
            FileNotFoundError: there is no such file.
            UserError: it did not succeed in time; names the place, the number of tries and the last error.
        """
        began, tries, pause = time.monotonic(), 0, _FIRST_PAUSE
        while True:
            tries += 1
            try:
                return attempt()
            except (FileNotFoundError, UserError, MemoryError):
                raise
            except Exception as error:  # noqa: BLE001  (every library behind fsspec has errors of its own)
                spent = time.monotonic() - began
                if spent + pause > self.seconds or _is_final(error):
                    raise _given_up(place, tries, spent, error) from None
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE)


def _is_final(error: Exception) -> bool:
    return isinstance(error, PermissionError | NotImplementedError | pa.ArrowInvalid) or any(word in str(error) for word in _FINAL)


def _given_up(place: str, tries: int, spent: float, error: Exception) -> UserError:
    what = masked(first_line(error)) or type(error).__name__
    return UserError(f"{place} cannot be reached: {tries} {'try' if tries == 1 else 'tries'} in {spent:.0f} s, last: {what}")
