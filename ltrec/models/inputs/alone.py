"""Parts of a model that a pass by segments (`ltrec.models.segments`) runs segment by segment.

Vectors of items with columns, and biases of attention, are not computed position by position. So each segment computes its own,
from parameters that are copies in name only: they share the memory, and each has the gradient of its segment as its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from ltrec.models.inputs.item_vectors import IdVectors
from ltrec.models.inputs.touched_rows import TouchedRows
from ltrec.models.segments import Segments, current, entered, left


@contextmanager
def alone(run: int | None, module: nn.Module) -> Iterator[None]:
    """A context in which a module computes for one segment; without segments, or for None, it does what it does.

    Args:
        run: number of the segment.
        module: whatever it computes is used by this segment alone.
    """
    segments = current()
    if segments is None or run is None:
        yield
        return
    replaced = list(_in_the_sink(segments, module))
    for put, parameter in replaced:
        put(segments.copy(parameter, run))
    token = entered(None)
    try:
        yield
    finally:
        left(token)
        for put, parameter in replaced:
            put(parameter)


def _in_the_sink(segments: Segments, module: nn.Module) -> Iterator[tuple[Callable[[nn.Parameter], None], nn.Parameter]]:
    """A module's parameters, touched rows among them, and what puts another in the place of each."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and id(parameter) in segments.sink:
                yield partial(part._parameters.__setitem__, name), parameter
        if isinstance(part, IdVectors) and part.touched is not None:
            yield partial(_touch, part, part.touched.row_V), part.touched.vectors_RD


def _touch(vectors: IdVectors, row_V: Tensor, leaf: nn.Parameter) -> None:
    vectors.touched = TouchedRows(leaf, row_V)
