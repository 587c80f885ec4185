"""Whether steps compute gradients of the touched rows of the item table, or of all rows: one rule, printed at the start.

Both give the same update. The first costs the touched rows, plus copying them there and back; the second costs the whole table,
once in joint training and K times by stratum. So it depends on the number of rows that a step touches, which follows from training
counts:

    E[R] = sum over items of 1 - (1 - q_v)^T  p_v          q_v = the item's share of training events, T = events of a step,
                                                           p_v = probability that the step's negatives leave it out
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.config.tree import RunConfig
from ltrec.core.columns import PAD
from ltrec.core.errors import UserError
from ltrec.data.stream.order.plan import Plan
from ltrec.distributed.gradients_config import AlignedConfig, JointConfig
from ltrec.distributed.strategies import STRATEGIES
from ltrec.distributed.touched_table import TouchedTable
from ltrec.models.backbones import Encoder
from ltrec.models.inputs import ColumnItems, IdVectors
from ltrec.models.plugins import RoutedByRow
from ltrec.objectives import Objective
from ltrec.objectives.draw import FewItemsObjective

MOST_JOINT, MOST_BY_STRATUM = 0.25, 0.35
"""Share of the table up to which touched rows are cheaper, as measured by benchmarks/rows.py (benchmarks/LOG.md). By stratum
somewhat more is worthwhile: K gradients need so much less memory, and messages are as much shorter."""


def choose_rows(
    config: RunConfig, plan: Plan, backbone: nn.Module, objective: Objective, train_count: Tensor
) -> tuple[TouchedTable | None, str]:
    """The table if steps compute only touched rows, else None; and a line to print.

    Args:
        config: the run.
        plan: of its steps.
        backbone: with plugins, if any.
        objective: its loss.
        train_count: int64 [V+1].

    Raises:
        UserError: gradients.rows=touched is impossible.
    """
    obstacle = obstacle_to_touching(config, backbone, objective)
    rows = expected_rows(objective, train_count, plan) if isinstance(objective, FewItemsObjective) and obstacle is None else 0.0
    touches, about = decide_rows(config, obstacle, rows, train_count.numel() - 1)
    if not touches:
        return None, about
    name, vectors = next((n, m) for n, m in backbone.named_modules() if isinstance(m, IdVectors))
    return TouchedTable(vectors, f"backbone.{name}.weight"), about


def decide_rows(config: RunConfig, obstacle: str | None, rows: float, items: int) -> tuple[bool, str]:
    """Whether steps compute only touched rows; and a line to print.

    Args:
        config: the run.
        obstacle: why they cannot; None if they can.
        rows: that a step touches.
        items: V.

    Raises:
        UserError: gradients.rows=touched is impossible.
    """
    wanted = "all" if isinstance(config.gradients, AlignedConfig) else config.gradients.rows
    if obstacle is not None:
        if wanted == "touched":
            raise UserError(f"gradients.rows=touched is not possible: {obstacle}; use gradients.rows=auto")
        return False, f"item table: every row takes part in every step ({obstacle})"
    most = MOST_JOINT if isinstance(config.gradients, JointConfig) else MOST_BY_STRATUM
    if wanted == "all" or (wanted == "auto" and rows > most * items):
        return False, f"item table: every row takes part in every step (about {rows:,.0f} of {items:,} are touched)"
    return True, f"item table: a step has gradients of the rows that it touches, about {rows:,.0f} of {items:,}"


def obstacle_to_touching(config: RunConfig, backbone: nn.Module, objective: Objective) -> str | None:
    """Why steps need the whole table; None if they do not."""
    gradients, strategy = config.gradients, STRATEGIES[config.registered_strategy]
    if isinstance(gradients, AlignedConfig):
        return "gradients.name=aligned walks over all parameters"
    if not strategy.can_touch_rows:
        return f"{config.strategy.name} shards the table"
    if not isinstance(objective, FewItemsObjective):
        return f"objective.name={config.objective.name} reads them all"
    if config.trainer.accumulate > 1 and objective.draws and getattr(objective, "scope", "position") == "position":
        return "the draws of later micro-batches are not known at a step's start"
    return _obstacle_of_model(backbone)


def _obstacle_of_model(backbone: nn.Module) -> str | None:
    tables = [module for module in backbone.modules() if isinstance(module, IdVectors)]
    if isinstance(backbone, RoutedByRow) or len(tables) != 1:
        return f"{type(backbone).__name__} has {len(tables)} item tables"
    if isinstance(backbone, Encoder) and not isinstance(getattr(backbone, "item_vectors", None), IdVectors | ColumnItems):
        return f"{type(backbone).__name__} has an item table of its own kind"
    return None


def expected_rows(objective: FewItemsObjective, train_count: Tensor, plan: Plan) -> float:
    """E[R], the rows that a step of all processes touches on average; an upper bound if rows are longer than a window."""
    events, mean = float(train_count.sum()), mean_window(train_count, plan)
    share_V = train_count.double() / max(1.0, events)
    log_missed_V = plan.batch_rows * mean * torch.log1p(-share_V.clamp(max=1 - 1e-12))
    log_missed_V = log_missed_V + objective.log_unread_V(round(plan.batch_rows * (mean - 1)))
    return float(-torch.expm1(log_missed_V)[PAD + 1 :].sum())


def mean_window(train_count: Tensor, plan: Plan) -> float:
    """Events of a training window on average: one more than it has positions; an upper bound, as above."""
    return min(float(train_count.sum()) / max(1, plan.trainable_rows), plan.max_len + 1)
