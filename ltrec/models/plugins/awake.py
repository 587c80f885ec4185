"""Awake: whether plugins take part, and since which step. It lives in the state dict, and is read without asking the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Awake(nn.Module):
    """False until `wake`; loading a state dict takes over what was saved.

    Attributes:
        since: the first step with plugins; -1 while they sleep.
    """

    since_step: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("since_step", torch.tensor(-1))
        self.since = -1
        self.register_load_state_dict_post_hook(_read)  # type: ignore[no-untyped-call]

    def __bool__(self) -> bool:
        return self.since >= 0

    def wake(self, step: int) -> None:
        """From this step on."""
        self.since_step.fill_(step)
        self.since = step

    def read(self) -> None:
        """Update from the buffer."""
        self.since = int(self.since_step)


def _read(module: Awake, _: object) -> None:
    module.read()
