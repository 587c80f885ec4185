"""Awake: the one bit that says whether plugins take part. It lives in the state dict, and is read without asking the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Awake(nn.Module):
    """False until `wake`; loading a state dict takes over the bit that was saved."""

    flag: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("flag", torch.zeros((), dtype=torch.bool))
        self._on = False
        self.register_load_state_dict_post_hook(_read)  # type: ignore[no-untyped-call]

    def __bool__(self) -> bool:
        return self._on

    def wake(self) -> None:
        """Set the bit."""
        self.flag.fill_(True)
        self._on = True

    def read(self) -> None:
        """Take over what the buffer says."""
        self._on = bool(self.flag)


def _read(module: Awake, _: object) -> None:
    module.read()
