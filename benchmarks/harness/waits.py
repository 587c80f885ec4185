"""Host waits of a training step, counted on the CPU: every place where an accelerator would have to finish before Python goes on.

What lives on the device is *marked*, storage by storage: parameters, buffers and the batch at first, then every result of an
operation that reads one of them. A wait is an operation that hands numbers of a marked tensor to Python, or whose result's size
depends on them:

    item, bool, int, float, tolist, numpy, cpu      nonzero, masks as indices, masked_select      unique      bincount
    repeat_interleave without output_size           a new tensor made of Python numbers on the device (`torch.tensor(..., device=)`)

What the host made for itself (counts of the loader, weights of strata, generators) is not marked, and costs nothing to read.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

_ROOT = Path(__file__).parents[2]
_ATEN = torch.ops.aten

_SIZED_BY_VALUES = {
    _ATEN._local_scalar_dense,
    _ATEN.nonzero,
    _ATEN.masked_select,
    _ATEN._unique,
    _ATEN._unique2,
    _ATEN.unique_dim,
    _ATEN.unique_consecutive,
    _ATEN.bincount,
    _ATEN.equal,
    _ATEN.is_nonzero,
}
"""Operations that end on the host, whatever their arguments."""

_INDEXED = {_ATEN.index, _ATEN.index_put, _ATEN.index_put_, _ATEN._index_put_impl_, _ATEN._unsafe_index}

_READ: dict[Any, Callable[[Tensor], Tensor]] = {
    Tensor.cpu: lambda tensor: tensor.clone(),
    Tensor.tolist: lambda tensor: tensor,
    Tensor.numpy: lambda tensor: tensor,
}
"""Methods that copy to the host without an operation that a CPU tensor would show."""


class Waits:
    """Counts while it is entered, on this thread. The backward pass of CPU tensors runs on the thread that asks for it.

    Attributes:
        places: (operation, file:line of the innermost line of this project) -> how often.
    """

    def __init__(self) -> None:
        self.places: Counter[tuple[str, str]] = Counter()
        self._marked: dict[int, StorageWeakRef] = {}
        self._modes: tuple[Any, ...] = (_Operations(self), _Calls(self))

    @property
    def total(self) -> int:
        """All waits."""
        return self.places.total()

    def lines(self, steps: int = 1) -> list[str]:
        """One line for every place, the most frequent first; counts are of one step."""
        return [f"{n / steps:6.1f}  {operation:<22} {place}" for (operation, place), n in self.places.most_common()]

    def __enter__(self) -> Waits:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    def mark(self, tensors: Iterable[Any]) -> None:
        """Let these live on the device."""
        for tensor in tensors:
            if isinstance(tensor, Tensor) and not _is_symbolic(tensor):
                reference = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
                self._marked[reference.cdata] = reference

    def on_device(self, value: Any) -> bool:
        """Whether it is a tensor that lives there."""
        return isinstance(value, Tensor) and not _is_symbolic(value) and value.untyped_storage()._cdata in self._marked

    def note(self, operation: str) -> None:
        """Count a wait where Python is now."""
        self.places[operation, line_of_project()] += 1


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What reaches torch's dispatcher."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run the operation; mark its results if it reads what is marked."""
        del types
        found = func(*args, **(kwargs or {}))
        waits, packet = self.waits, func._overloadpacket
        if not any(map(waits.on_device, tree_iter((args, kwargs)))):
            return found
        by_mask = packet in _INDEXED and any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in args[1])
        copied = packet is _ATEN.copy_ and not waits.on_device(args[0])
        open_ended = packet is _ATEN.repeat_interleave and (kwargs or {}).get("output_size") is None
        if packet in _SIZED_BY_VALUES or by_mask or open_ended or copied:
            waits.note("mask as index" if by_mask else func._schema.name.removeprefix("aten::"))
        if copied:  # what it was copied to is the host's
            return found
        waits.mark(tree_iter(found))
        return found


class _Calls(TorchFunctionMode):
    """What a CPU tensor would do without the dispatcher."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Count copies to the host and uploads of Python numbers."""
        del types
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and isinstance(kwargs.get("device"), torch.device):
            self.waits.note("upload")
        if args and func in _READ and self.waits.on_device(args[0]):
            self.waits.note(func.__name__)
            with torch._C.DisableTorchFunction(), _untraced():
                return func(_READ[func](args[0]), *args[1:], **kwargs)
        return func(*args, **kwargs)


def _untraced() -> Any:
    """No dispatch mode for a moment, so that the result is not marked."""
    return torch.utils._python_dispatch._disable_current_modes()


def _is_symbolic(tensor: Tensor) -> bool:
    return tensor.layout != torch.strided or tensor.device.type == "meta"


def line_of_project() -> str:
    """The innermost line of the project that is being executed, or of whoever is, if none is."""
    frame: FrameType | None = sys._getframe(1)
    first = frame
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT / "ltrec"):
            return f"{path.relative_to(_ROOT)}:{frame.f_lineno}"
        if first is not None and first.f_code.co_filename == __file__:
            first = frame
        frame = frame.f_back
    assert first is not None
    return f"{Path(first.f_code.co_filename).name}:{first.f_lineno}"
