"""Weight gradients by stratum from one forward and one backward pass.

The positions of a batch stand stratum after stratum: K segments of T positions. A layer that treats every position alike has, with
inputs X and gradients G of its outputs, the weight gradient X^T G, and of stratum z alone

    linear      G_z^T X_z and the sum of G_z        over the positions of its segment
    norm        sums of G_z * normalised X_z, and of G_z
    embedding   the rows of G_z, added up by id

So inputs and outputs are computed once, for all strata together, and only these products are K. While `BySegment` is entered, the
functions below take the place of torch's wherever a parameter of the `sink` is used, and write K gradients to where the sink says;
autograd itself gives these parameters none. A parameter that is used in any other way is an error, never a wrong gradient.

Sums over a segment are products with a 0/1 matrix: a NaN of one stratum spoils the others' too, in a step that is refused anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from ltrec.core.errors import UserError


class Segments:
    """K runs of positions, and the place of K gradients for every parameter.

    Args:
        borders: where each run begins, and the end of the last [K+1]; runs may be empty.
        stratum_T: int64 [T], the number of every position's run.
        sink: id of a parameter -> [K, *shape], to which gradients are added.
    """

    def __init__(self, borders: Sequence[int], stratum_T: Tensor, sink: Mapping[int, Tensor]) -> None:
        self.borders, self.stratum_T, self.sink = borders, stratum_T, sink

    @property
    def count(self) -> int:
        """K."""
        return len(self.borders) - 1

    @cached_property
    def member_KT(self) -> Tensor:
        """1 where a position belongs to a run, float32."""
        runs = torch.arange(self.count, device=self.stratum_T.device)
        return (runs[:, None] == self.stratum_T).float()

    def sums(self, values_TC: Tensor) -> Tensor:
        """Sums over each run [K, C]."""
        return self.member_KT.to(values_TC.dtype) @ values_TC

    def runs(self, per_position: int = 1) -> Iterator[tuple[int, slice]]:
        """Runs that are not empty, as slices of a first dimension with so many entries per position."""
        for number, (start, stop) in enumerate(pairwise(self.borders)):
            if stop > start:
                yield number, slice(start * per_position, stop * per_position)

    def check(self, length: int) -> None:
        """See that a first dimension is that of the positions.

        Raises:
            UserError: it is not.
        """
        if length != self.borders[-1]:
            raise _impossible(f"a layer over {length} rows", f"not over the {self.borders[-1]} positions")

    def add_products(self, sink_KOI: Tensor, left: Tensor, right: Tensor) -> None:
        """Add left_z^T right_z of every run to its gradient; the factors are [T * m, .]."""
        for number, rows in self.runs(len(left) // max(1, self.borders[-1])):
            target, factors = sink_KOI[number], (left[rows].T, right[rows])
            if target.dtype == left.dtype:
                target.addmm_(*factors)
            else:
                target.add_(factors[0] @ factors[1])

    def add_rows(self, sink_KVD: Tensor, ids: Tensor, rows: Tensor) -> None:
        """Add a gradient row to that of its id, in the run of its position. `ids` is [T, ...], `rows` [T, ..., D]."""
        run = self.stratum_T.view(-1, *[1] * (ids.dim() - 1)).expand_as(ids)
        sink_KVD.index_put_((run, ids), rows.to(sink_KVD.dtype), accumulate=True)


Place = tuple[Segments, Tensor]
"""The segments of a pass, and where the K gradients of one parameter go."""

_ACTIVE: ContextVar[Segments | None] = ContextVar("segments", default=None)


def place_of(table: Tensor) -> Place | None:
    """For functions that find the gradients of a table themselves; None: autograd is to find them."""
    segments = _ACTIVE.get()
    sink = None if segments is None else segments.sink.get(id(table))
    return None if segments is None or sink is None else (segments, sink)


class BySegment(TorchFunctionMode):
    """Enter it for the forward pass; the backward pass needs it no more.

    Raises:
        UserError: while it is entered: a parameter of the sink is used in a way that has no gradient by segments.
    """

    def __init__(self, segments: Segments) -> None:
        super().__init__()
        self.segments = segments

    def __enter__(self) -> BySegment:
        self._token = _ACTIVE.set(self.segments)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _ACTIVE.reset(self._token)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Compute by segments what uses a parameter of the sink."""
        del types
        kwargs = kwargs or {}
        if (replaced := _REPLACED.get(func)) is not None:
            return replaced(self.segments, *args, **kwargs)
        if any(id(value) in self.segments.sink for value in (*args, *kwargs.values())) and not _is_harmless(func, args, kwargs):
            raise _impossible(f"{getattr(func, '__name__', func)} of a parameter", "not one of linear, embedding and layer_norm")
        return func(*args, **kwargs)


def _is_harmless(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Questions about a tensor, conversions to what it is already, and values without a gradient."""
    if func is Tensor.to:
        return not kwargs and all(value in (args[0].dtype, args[0].device) for value in args[1:])
    return getattr(func, "__name__", "") in (
        "__get__",
        "detach",
        "dim",
        "size",
        "numel",
        "is_floating_point",
        "element_size",
        "__len__",
    )


def _impossible(what: str, why: str) -> UserError:
    return UserError(f"source segments cannot compute {what}: {why}; use source split")


# -- the layers --------------------------------------------------------------------------------------------------------------------


def _linear(segments: Segments, values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    sink_KOI = segments.sink.get(id(weight))
    if sink_KOI is None:
        return F.linear(values, weight, bias)
    segments.check(len(values))
    sink_KO = None if bias is None else segments.sink[id(bias)]
    out: Tensor = _Linear.apply(values, weight, bias, segments, sink_KOI, sink_KO)  # type: ignore[no-untyped-call]
    return out


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None, segments: Segments, sink_KOI: Tensor, sink_KO: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.segments, ctx.sinks = segments, (sink_KOI, sink_KO)
        return F.linear(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (values, weight), (sink_KOI, sink_KO) = ctx.saved_tensors, ctx.sinks
        grad_RO, value_RI = grad.flatten(0, -2), values.flatten(0, -2).to(grad.dtype)
        ctx.segments.add_products(sink_KOI, grad_RO, value_RI)
        if sink_KO is not None:
            per_position_TO = grad if grad.dim() == 2 else grad.flatten(1, -2).sum(1)
            sink_KO.add_(ctx.segments.sums(per_position_TO))
        grad_values = (grad @ weight.to(grad.dtype)).to(values.dtype) if ctx.needs_input_grad[0] else None
        return grad_values, None, None, None, None, None


def _layer_norm(
    segments: Segments,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    if weight is None or id(weight) not in segments.sink:
        return F.layer_norm(input, list(normalized_shape), weight, bias, eps)
    segments.check(len(input))
    assert bias is not None, "this project's norms have both"
    sinks = (segments.sink[id(weight)], segments.sink[id(bias)])
    out: Tensor = _LayerNorm.apply(input, weight, bias, eps, segments, *sinks)  # type: ignore[no-untyped-call]
    return out


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values_TC: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        segments: Segments,
        sink_KC: Tensor,
        sink_bias: Tensor,
    ) -> Tensor:
        exact_TC = values_TC.to(weight.dtype)  # as autocast would have it
        out, mean, rstd = torch.native_layer_norm(exact_TC, weight.shape, weight, bias, eps)
        ctx.dtype = values_TC.dtype
        ctx.save_for_backward(exact_TC, weight, bias, mean, rstd)
        ctx.segments, ctx.sinks = segments, (sink_KC, sink_bias)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TC: Tensor) -> tuple[Tensor | None, ...]:
        values_TC, weight, bias, mean, rstd = ctx.saved_tensors
        (sink_KC, sink_bias), segments = ctx.sinks, ctx.segments
        normal_TC = (values_TC - mean) * rstd
        sink_KC.add_(segments.sums(grad_TC * normal_TC))
        sink_bias.add_(segments.sums(grad_TC))
        grad_values, _, _ = torch.ops.aten.native_layer_norm_backward(
            grad_TC, values_TC, weight.shape, mean, rstd, weight, bias, [True, False, False]
        )
        return grad_values.to(ctx.dtype), None, None, None, None, None, None


def _embedding(
    segments: Segments,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    *rest: Any,
    **more: Any,
) -> Tensor:
    sink_KVD = segments.sink.get(id(weight))
    if sink_KVD is None:
        return F.embedding(input, weight, padding_idx, *rest, **more)
    segments.check(len(input))
    out: Tensor = _Embedding.apply(weight, input, padding_idx, segments, sink_KVD)  # type: ignore[no-untyped-call]
    return out


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding: int | None, segments: Segments, sink_KVD: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.padding, ctx.segments, ctx.sink = padding, segments, sink_KVD
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, ...]:
        (ids,) = ctx.saved_tensors
        grad = grad if ctx.padding is None else torch.where((ids == ctx.padding)[..., None], 0, grad)
        ctx.segments.add_rows(ctx.sink, ids, grad)
        return None, None, None, None, None


_REPLACED: dict[Any, Callable[..., Tensor]] = {F.linear: _linear, F.layer_norm: _layer_norm, F.embedding: _embedding}
"""torch's function -> that by segments."""
