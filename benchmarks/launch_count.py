"""Operations of a step, counted as they run: what starts a kernel on an accelerator; no views, no allocations."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_ALLOCATIONS = ("empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "resize_", "set_")
_NAMES = ("detach", "alias", "lift_fresh", "is_pinned", "_local_scalar_dense", "_unsafe_view", "split", "split_with_sizes")
FREE = frozenset(f"aten::{name}" for name in (*_ALLOCATIONS, *_NAMES))
"""Operations that compute nothing."""


class Launches(TorchDispatchMode):
    """Counts while it is entered, on this thread; a backward pass on the CPU runs on the thread that asks for it.

    Attributes:
        total: operations so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run the operation and count it."""
        del types
        self.total += not func.is_view and func._schema.name not in FREE
        return func(*args, **(kwargs or {}))
