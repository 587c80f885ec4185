"""What prepare says of itself besides its stages (`ltrec.core.progress`)."""

from __future__ import annotations

UNCHANGED = "unchanged"
"""Stage heard when the output already holds exactly this data set and nothing was done."""
MENDING = "mend"
"""Stage heard when the output holds exactly this data set, but damaged: it is built anew."""
