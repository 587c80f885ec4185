"""Where starting an operation costs more than a short one takes, as on a GPU: how it is known, and what is cheaper there."""

from __future__ import annotations

from pytorch_lightning.strategies import Strategy

from ltrec.strategy.options import StratifiedOptions


def launches_cost(strategy: Strategy) -> bool:
    """Whether a strategy runs on an accelerator; no, as long as its devices are not known."""
    devices = getattr(strategy, "parallel_devices", None) or [getattr(strategy, "_root_device", None)]
    return devices[0] is not None and devices[0].type != "cpu"


def advice(options: StratifiedOptions, mode: str, costly: bool) -> str | None:
    """One line about what would be cheaper with the same update; None: nothing is known.

    Args:
        options: of the strategy.
        mode: of the run.
        costly: `launches_cost`.
    """
    if mode != "per_stratum" or options.rule.kind != "linear" or not costly:
        return None
    return (
        f"rule {options.rule_name} needs no gradient by stratum: where steps are short for this device, mode weighted "
        "makes the same update with about as many operations as joint training"
    )
