"""What prepare reports besides its steps (`ltrec.core.progress`)."""

from __future__ import annotations

UNCHANGED = "unchanged"
"""Step reported when the output already holds exactly this data set and nothing was done."""
MENDING = "mend"
"""Step reported when the output holds exactly this data set, but damaged: it is built anew."""
