"""Special steps that prepare reports (`ltrec.core.progress`)."""

from __future__ import annotations

UNCHANGED = "unchanged"
"""Reported when the output already holds exactly this data set and nothing was done."""
MENDING = "mend"
"""Reported when the output holds exactly this data set, but damaged: it is built again."""
