"""Options of gradient alignment (gradients.name=aligned)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ltrec.core.bounds import Between, check_fields

Tasks = Literal["user", "stratum"]


@dataclass(frozen=True, slots=True)
class AlignmentConfig:
    """Inner steps of plain gradient descent over tasks; the way travelled is the outer optimiser's gradient (LTP, Fish)."""

    tasks: Tasks = "user"
    """`user`: a task is one user, or a few (see `trajectories`), as in LTP; `stratum`: a task is a stratum of users, as in Fish."""
    inner_steps: Annotated[int, Between(1, 1 << 20)] = 2
    """k, tasks visited one after the other before the outer step; 1 = no alignment. With `stratum` every stratum is visited."""
    inner_lr: Annotated[float, Between(0, 1e6, above=True)] = 0.1
    """Alpha, step size of the inner descent. On MovieLens 0.01 changes the gradient by a hundredth of its length, 0.1 by a
    twentieth, 0.5 by a third; from 3 on the inner steps diverge."""
    trajectories: Annotated[int, Between(0, 1 << 24)] = 0
    """M, independent chains of inner steps per outer step over all processes, whose mean way is followed; the number of processes
    divides it. `user`: a step's rows are distributed over M x k tasks, so 0 = one user per task, all of whom weigh alike. Fewer
    put several users into a task, within which a target is an example unless stream.unit is `user`, and cost less: with four users
    to a task a step takes a third of the time. `stratum`: 0 = one chain."""

    def __post_init__(self) -> None:
        check_fields(self)
