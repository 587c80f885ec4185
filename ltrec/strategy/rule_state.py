"""The rule's state travels in checkpoints: a strategy has no hook for state of its own, a callback has."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.callbacks import Callback

from ltrec.aggregation import Rule


class RuleState(Callback):
    """Saves and restores the state of the rule (such as DRO's weights), so that an interruption changes nothing."""

    priority = 70

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def state_dict(self) -> dict[str, Any]:
        """The rule's state. That of rank 0 is saved: only there are Gram rules evaluated."""
        return self.rule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.rule.load_state_dict(state_dict)
