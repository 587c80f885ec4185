"""The two ways in which a memory's share is added to a network's scores; `memory.py` defines them."""

from __future__ import annotations

from typing import Literal, get_args

Form = Literal["mix", "log"]
FORMS: tuple[Form, ...] = get_args(Form)
