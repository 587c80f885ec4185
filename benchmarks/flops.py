"""Floating-point operations of the matrix products that really run, whoever runs them: modules, autograd, or code beside both.

torch's own counter follows modules by hooks that `torch.autograd.grad` refuses, and overlooks two products that this project uses;
its formulas are used here without its hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count


class Flops(TorchDispatchMode):
    """Counts while it is entered, on this thread; a backward pass on the CPU runs on the thread that asks for it.

    Attributes:
        total: operations so far, a multiplication and an addition counted as two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run the operation and count it if it is a matrix product."""
        del types
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet in _OVERLOOKED:
            self.total += _OVERLOOKED[packet](*args)
        elif packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        return out


def _product_added(_sum: Any, left: Any, right: Any, *_: Any) -> int:
    return int(2 * left.shape[0] * left.shape[1] * right.shape[1])


def _attention(query: Any, key: Any, value: Any, *_: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any) -> int:
    return int(sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape))


_ATEN = torch.ops.aten
_OVERLOOKED: dict[Any, Callable[..., int]] = {
    _ATEN.addmm_: _product_added,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""In place, and attention on the CPU without dropout."""
