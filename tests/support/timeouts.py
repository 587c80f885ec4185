"""How long a test waits: the suite's time-outs, times LTREC_TEST_TIMEOUT_SCALE (default 1), for slow or busy machines."""

from __future__ import annotations

import os

VARIABLE = "LTREC_TEST_TIMEOUT_SCALE"
SCALE = float(os.environ.get(VARIABLE, "1"))


def scaled(seconds: float) -> float:
    """A time-out of this suite on this machine."""
    return seconds * SCALE
