"""What a user may say about gradient alignment (strategy.mode=aligned)."""

from __future__ import annotations

from dataclasses import dataclass

from ltrec.core.errors import nearest

TASKS = ("user", "stratum")


@dataclass(frozen=True, slots=True)
class AlignmentConfig:
    """Inner steps of plain gradient descent over tasks; the way travelled is the outer optimiser's gradient (LTP, Fish)."""

    tasks: str = "user"
    """`user`: a task is one user, or a few (see `trajectories`), as in LTP; `stratum`: a task is a stratum of users, as in Fish."""
    inner_steps: int = 2
    """k, tasks visited one after the other before the outer step; 1 = no alignment. With `stratum` every stratum is visited."""
    inner_lr: float = 0.1
    """Alpha, step size of the inner descent. On MovieLens 0.01 changes the gradient by a hundredth of its length, 0.1 by a
    twentieth, 0.5 by a third; from 3 on the inner steps diverge."""
    trajectories: int = 0
    """M, independent chains of inner steps per outer step over all processes, whose mean way is followed; the number of processes
    divides it. `user`: the rows of a step are dealt out to M x k tasks, so 0 = one user per task, all of whom weigh alike. Fewer
    put several users into a task, within which a target is an example unless stream.unit is `user`, and cost less: with four users
    to a task a step takes a third of the time. `stratum`: 0 = one chain."""

    def __post_init__(self) -> None:
        if self.tasks not in TASKS:
            raise ValueError(f"tasks must be one of {', '.join(TASKS)}; got {self.tasks!r}{nearest(self.tasks, TASKS)}")
        if self.inner_steps < 1:
            raise ValueError(f"inner_steps must be at least 1; got {self.inner_steps}")
        if self.inner_lr <= 0:
            raise ValueError(f"inner_lr must be positive; got {self.inner_lr}")
        if self.trajectories < 0:
            raise ValueError(f"trajectories must not be negative; got {self.trajectories}")
