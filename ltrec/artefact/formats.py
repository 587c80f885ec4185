"""Formats that a program is saved in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltrec.artefact.dense.program import RecommenderProgram
from ltrec.artefact.onnx_format import OnnxProgram, save_onnx
from ltrec.artefact.torch_format import load_program, save_program


@dataclass(frozen=True, slots=True)
class ProgramFormat:
    """One format.

    Attributes:
        file: name of the program's file.
        save: (program, arguments to trace with, path) writes it.
        load: path -> the program, to be called as `RecommenderProgram` is.
        extra: of the package that it needs; empty = none.
    """

    file: str
    save: Callable[[RecommenderProgram, tuple[Any, ...], Path], None]
    load: Callable[[Path], Any]
    extra: str = ""


FORMATS = {
    "torch": ProgramFormat("program.pt2", save_program, load_program),
    "onnx": ProgramFormat("program.onnx", save_onnx, OnnxProgram, "export"),
}
