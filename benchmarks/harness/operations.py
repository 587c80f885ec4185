"""Tensor operations of a step: what an accelerator would be asked to start, counted on the CPU.

Gradients by segments take the form that they have on an accelerator. Views are left out, for they start nothing. One operation may
start several kernels; the count says how a way to train compares with another, and how a step grows with strata.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from unittest import mock

from torch.utils._python_dispatch import TorchDispatchMode

from ltrec.distributed import by_segments

_FREE = {"detach", "alias", "_unsafe_view", "_reshape_alias", "empty", "empty_like", "empty_strided", "new_empty", "lift_fresh"}
"""Views that do not say so, and memory that nothing is written to."""


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts while it is entered, on this thread.

    Attributes:
        names: operation -> how often.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: Counter[str] = Counter()
        self._form = mock.patch.object(by_segments, "one_by_one", lambda _: False)

    def __enter__(self) -> Operations:
        self._form.start()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._form.stop()

    @property
    def total(self) -> int:
        """All operations."""
        return self.names.total()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run the operation, and count it unless it is a view."""
        del types
        name = func._schema.name.removeprefix("aten::")
        if not (func.is_view or name in _FREE) and func.namespace == "aten":
            self.names[name] += 1
        return func(*args, **(kwargs or {}))
