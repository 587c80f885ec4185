"""Matrix products that a recommender computes, and the time of one in onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from flops import Flops

from ltrec.artefact.recommend import Recommender
from ltrec.artefact.script.inputs import rectangle


def products(recommender: Recommender, histories: Sequence[dict[str, Any]]) -> int:
    """Floating-point operations of the products that run for those histories, a model in torch's format."""
    arguments = recommender.arguments(histories)
    calls = recommender._calls(histories, (arguments[0] > 0).sum(axis=1))
    return sum(_counted(recommender, rectangle(arguments, rows, width)[0]) for rows, width, _ in calls)


def products_of_positions(recommender: Recommender, histories: Sequence[dict[str, Any]]) -> float:
    """The same if every rectangle were as wide as the windows in it, and as high as there are."""
    lengths = np.minimum([len(history["items"]) for history in histories], recommender.about["max_len"])
    found = 0.0
    for length, rows in zip(*np.unique(lengths, return_counts=True), strict=True):
        items = np.ones((2, max(1, length - 1)), np.int64)  # the program adds a position; sizes of one are special
        found += rows * _counted(recommender, items) / 2
    return found


def _counted(recommender: Recommender, items: np.ndarray[Any, Any]) -> int:
    with Flops() as count, torch.no_grad():
        recommender.program(items, {}, {}, recommender.tables)
    return count.total


class OnnxProduct:
    """A product of two matrices by onnxruntime, with one thread."""

    def __init__(self) -> None:
        onnx, runtime = import_module("onnx"), import_module("onnxruntime")
        shapes = {"a": ["m", "k"], "b": ["k", "n"], "c": ["m", "n"]}
        a, b, c = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items())
        graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a, b], [c])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def __call__(self, left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """left @ right."""
        found: np.ndarray[Any, Any] = self._session.run(None, {"a": left, "b": right})[0]
        return found
