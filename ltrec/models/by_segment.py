"""Layers whose weight gradients are computed by stratum (`ltrec.models.segments`), in place of torch's.

A parameter of the sink that is used in any other way is an error, never a wrong gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from ltrec.models.segments import Segments, current, entered, impossible, left

_LINEAR = torch._C._nn.linear
"""torch's own `F.linear`. DeepSpeed's ZeRO-3 leaves another in its place, for as long as the process lives."""


class BySegment(TorchFunctionMode):
    """Enter it for the forward pass; the backward pass needs it no more.

    Raises:
        UserError: while it is entered: a parameter of the sink is used in a way that has no gradient by segments.
    """

    def __init__(self, segments: Segments) -> None:
        super().__init__()
        self.segments = segments

    def __enter__(self) -> BySegment:
        self._patch, F.linear = F.linear, _LINEAR
        self._token = entered(self.segments)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        left(self._token)
        F.linear = self._patch

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Compute by segments what uses a parameter of the sink."""
        del types
        kwargs = kwargs or {}
        if (replaced := _REPLACED.get(func)) is not None:
            return replaced(self.segments, *args, **kwargs)
        if not self.segments.sink.keys().isdisjoint(map(id, (*args, *kwargs.values()))) and not _is_harmless(func, args, kwargs):
            raise impossible(f"{getattr(func, '__name__', func)} of a parameter", "not one of linear, embedding and layer_norm")
        return func(*args, **kwargs)


def recomputed() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """For `torch.utils.checkpoint`, as `context_fn`: what is computed again in the backward pass finds the same segments, and draws
    the same random numbers."""
    segments = current()
    return nullcontext(), nullcontext() if segments is None else _again(segments)


def _again(segments: Segments) -> AbstractContextManager[None]:
    generators = () if segments.draws is None else segments.draws.generators
    states = [generator.get_state() for generator in generators]

    @contextmanager
    def entered_again() -> Iterator[None]:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        with BySegment(segments):
            yield

    return entered_again()


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
        backward = torch.ops.aten.native_layer_norm_backward
        if segments.one_by_one:
            grad_values = torch.empty_like(values_TC)
            for number, run in segments.runs():
                given = (grad_TC[run], values_TC[run], weight.shape, mean[run], rstd[run], weight, bias)
                grad_values[run], of_weight, of_bias = backward(*given, [True, True, True])
                sink_KC[number] += of_weight
                sink_bias[number] += of_bias
        else:
            sink_KC.add_(segments.sums(grad_TC * ((values_TC - mean) * rstd)))
            sink_bias.add_(segments.sums(grad_TC))
            grad_values, _, _ = backward(grad_TC, values_TC, weight.shape, mean, rstd, weight, bias, [True, False, False])
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
        kept = None if ctx.padding is None else ctx.sink[:, ctx.padding].clone()
        ctx.segments.add_rows(ctx.sink, ids, grad)
        if kept is not None:
            ctx.sink[:, ctx.padding] = kept
        return None, None, None, None, None


_REPLACED: dict[Any, Callable[..., Tensor]] = {_LINEAR: _linear, F.layer_norm: _layer_norm, F.embedding: _embedding}
"""torch's function -> that by segments."""
