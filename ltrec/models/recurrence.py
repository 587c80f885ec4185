"""A GRU layer over rows by time, whose backward pass is written out.

    a = W x + b        c = U h + d        r, z = sigmoid(a_rz + c_rz)        n = tanh(a_n + r c_n)        h' = n + z (h - n)

The library's backward pass on the CPU writes a gradient as long as the whole sequence for every time. Here the loop finds the
gradients of a and c alone, and those of W and U are one product each over all cells; in the order of the rows, products by stratum
(`ltrec.models.segments`). What is 16 bits wide under autocast is computed in the weights' precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ltrec.models.packing import TimeLayout
from ltrec.models.segments import Segments, place_of

Weights = tuple[Tensor, ...]
"""Four: W [3H, I], U [3H, H], b and d [3H]: gates in the order reset, update, new."""


def recur(inputs_SI: Tensor, weights: Weights, layout: TimeLayout) -> Tensor:
    """States [S, H] from zero states on.

    Args:
        inputs_SI: by time.
        weights: of the layer.
        layout: of the rows.
    """
    places = [place for weight in weights if (place := place_of(weight)) is not None]
    segments, sinks = places[0][0] if places else None, tuple(sink for _, sink in places)
    if segments is not None:
        segments.check(layout.cell_T.numel())
        weights = tuple(weight.detach() for weight in weights)
    states_SH: Tensor = _Recurrence.apply(inputs_SI, *weights, layout, segments, sinks)  # type: ignore[no-untyped-call]
    return states_SH


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs_SI: Tensor,
        into: Tensor,
        across: Tensor,
        into_bias: Tensor,
        across_bias: Tensor,
        layout: TimeLayout,
        segments: Segments | None,
        sinks: tuple[Tensor, ...],
    ) -> Tensor:
        with torch.autocast(inputs_SI.device.type, enabled=False):
            exact_SI = inputs_SI.to(into.dtype)
            from_input = torch.addmm(into_bias, exact_SI, into.T)
            kept = _run(from_input, across, across_bias, layout.alive.tolist())
        ctx.save_for_backward(exact_SI, into, across, *kept)
        ctx.dtype, ctx.layout, ctx.segments, ctx.sinks = inputs_SI.dtype, layout, segments, sinks
        return kept[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_SH: Tensor) -> tuple[Tensor | None, ...]:
        inputs_SI, into, across, gates, new, across_new, states = ctx.saved_tensors
        layout: TimeLayout = ctx.layout
        alive = layout.alive.tolist()
        before = _states_before(states, alive)
        grad_into, grad_across = _gradients(grad_SH, across, (gates, new, across_new, before), alive)
        grad_inputs = (grad_into @ into).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        if ctx.segments is None:
            of_weights = (grad_into.T @ inputs_SI, grad_across.T @ before, grad_into.sum(0), grad_across.sum(0))
            return grad_inputs, *of_weights, None, None, None
        _add_by_segment(ctx.segments, ctx.sinks, [part[layout.cell_T] for part in (grad_into, grad_across, inputs_SI, before)])
        return (grad_inputs, *[None] * 7)


def _run(from_input: Tensor, across: Tensor, across_bias: Tensor, alive: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of every cell r and z side by side [S, 2H], n [S, H], c_n [S, H] and the state [S, H]."""
    size, total = across.shape[1], len(from_input)
    gates, (new, across_new, states) = from_input.new_empty(total, 2 * size), from_input.new_empty(3, total, size)
    across_IG, state = across.T, from_input.new_zeros(alive[0], size)
    for a, rz, n, c_n, after in _by_time((from_input, gates, new, across_new, states), alive):
        before = state[: len(a)]
        c = torch.addmm(across_bias, before, across_IG)
        torch.add(a[:, : 2 * size], c[:, : 2 * size], out=rz).sigmoid_()
        c_n.copy_(c[:, 2 * size :])
        torch.addcmul(a[:, 2 * size :], rz[:, :size], c_n, out=n).tanh_()
        state = torch.lerp(n, before, rz[:, size:], out=after)
    return gates, new, across_new, states


def _states_before(states: Tensor, alive: Sequence[int]) -> Tensor:
    """The state that every cell began with [S, H]."""
    parts = zip(torch.split(states, list(alive)), alive[1:], strict=False)
    return torch.cat([states.new_zeros(alive[0], states.shape[1]), *(part[:following] for part, following in parts)])


def _gradients(grad_SH: Tensor, across: Tensor, kept: Sequence[Tensor], alive: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of a and of c [S, 3H]."""
    total, size = grad_SH.shape
    grad_into, grad_across = grad_SH.new_empty(2, total, 3 * size)
    carried = grad_SH.new_zeros(0, size)
    steps = list(_by_time((grad_SH, *kept, grad_into, grad_across), alive))
    for given, rz, n, c_n, before, into_t, across_t in reversed(steps):
        grad = given.clone()
        grad[: len(carried)] += carried
        z = rz[:, size:]
        of_new = torch.ops.aten.tanh_backward.grad_input(grad - grad * z, n, grad_input=into_t[:, 2 * size :])
        of_gates = torch.cat([of_new * c_n, grad * (before - n)], 1)
        torch.ops.aten.sigmoid_backward.grad_input(of_gates, rz, grad_input=into_t[:, : 2 * size])
        across_t[:, : 2 * size] = into_t[:, : 2 * size]
        torch.mul(of_new, rz[:, :size], out=across_t[:, 2 * size :])
        carried = torch.addmm(grad * z, across_t, across)
    return grad_into, grad_across


def _by_time(values: Sequence[Tensor], alive: Sequence[int]) -> Iterator[tuple[Tensor, ...]]:
    """The cells of one time after the other, of each of these."""
    return zip(*(torch.split(part, list(alive)) for part in values), strict=True)


def _add_by_segment(segments: Segments, sinks: Sequence[Tensor], of_rows: Sequence[Tensor]) -> None:
    """Add the weights' gradients of every segment to their places.

    Args:
        segments: of the positions.
        sinks: of W, U, b and d.
        of_rows: the gradients of a and of c, inputs and states before, in the order of the positions.
    """
    of_input, of_state, inputs, before = of_rows
    segments.add_products(sinks[0], of_input, inputs)
    segments.add_products(sinks[1], of_state, before)
    sinks[2].add_(segments.sums(of_input))
    sinks[3].add_(segments.sums(of_state))
