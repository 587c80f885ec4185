"""A pass whose only purpose is to look must not move running statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Give every buffer its value back that the block changed. Buffers that nobody changed are not touched."""
    before = [(buffer, buffer._version, buffer.clone()) for buffer in module.buffers()]
    yield
    for buffer, version, value in before:
        if buffer._version != version:
            buffer.copy_(value)
