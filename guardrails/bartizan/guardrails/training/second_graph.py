"""Writes layers of an encoder as graphs for onnxruntime, with weights of one byte.

Needs `onnx`, which the product does not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bartizan.guardrails.training.second_shape import (
    EPSILON,
    HEAD_WIDTH,
    HEADS,
    WIDTH,
    LayerArrays,
    PoolArrays,
)

OPSET = 20
IR_VERSION = 10


class _Graph:
    """Nodes and weights, as they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, array: Any, kind: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        values = np.ascontiguousarray(array, kind)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def split(self, given: str, parts: Sequence[str]) -> None:
        from onnx import helper

        sizes = self.weight([WIDTH] * len(parts), np.int64)
        self.nodes.append(helper.make_node("Split", [given, sizes], list(parts), axis=-1))

    def linear(self, given: str, weight: Any, bias: Any) -> str:
        product = self.node("MatMul", given, self.weight(weight))
        return self.node("Add", product, self.weight(bias))

    def normalised(self, given: str, scale: Any, shift: Any, output: str = "") -> str:
        weights = self.weight(scale), self.weight(shift)
        return self.node(
            "LayerNormalization", given, *weights, output=output, axis=-1, epsilon=EPSILON
        )


def write_layers(
    path: Path,
    layers: Sequence[LayerArrays],
    start: Mapping[str, Any] | None,
    pool: PoolArrays | None,
) -> None:
    """Writes a graph of some layers for one text at a time, from `hidden` to `result`.

    The scale of what is computed depends on all that is computed at once: with others in a batch,
    or with padding, a text would get other numbers. `start` holds what the first layer of all
    needs: `positions`, `scale`, `shift`. `pool` turns what the last one gives into a number per
    head.
    """
    graph = _Graph()
    hidden = "hidden" if start is None else _started(graph, start)
    for layer in layers[:-1]:
        hidden = _layer(graph, hidden, layer, "")
    hidden = _layer(graph, hidden, layers[-1], "result" if pool is None else "")
    if pool is not None:
        _pooled(graph, hidden, pool)
    _quantised(path, graph, [1, None, WIDTH] if pool is None else [1, len(pool.bias)])


def _started(graph: _Graph, start: Mapping[str, Any]) -> str:
    """Adds to each word what it means to stand where it stands."""
    positions = graph.weight(start["positions"])
    shape = graph.node("Shape", "hidden")
    length = graph.node("Slice", shape, graph.weight([1], np.int64), graph.weight([2], np.int64))
    here = graph.node("Slice", positions, graph.weight([0], np.int64), length)
    placed = graph.node("Add", "hidden", here)
    return graph.normalised(placed, start["scale"], start["shift"])


def _layer(graph: _Graph, given: str, layer: LayerArrays, output: str) -> str:
    mixed = graph.linear(given, layer.mix, layer.mix_bias)
    parts = [f"{mixed}_{part}" for part in "qkv"]
    graph.split(mixed, parts)
    shape = graph.weight([0, 0, HEADS, HEAD_WIDTH], np.int64)
    query, key, value = (graph.node("Reshape", part, shape) for part in parts)
    query = graph.node("Transpose", query, perm=[0, 2, 1, 3])
    key = graph.node("Transpose", key, perm=[0, 2, 3, 1])
    value = graph.node("Transpose", value, perm=[0, 2, 1, 3])
    scores = graph.node("MatMul", query, key)
    scores = graph.node("Mul", scores, graph.weight(np.float32(HEAD_WIDTH**-0.5)))
    share = graph.node("Softmax", scores, axis=-1)
    seen = graph.node("Transpose", graph.node("MatMul", share, value), perm=[0, 2, 1, 3])
    seen = graph.node("Reshape", seen, graph.weight([0, 0, WIDTH], np.int64))
    seen = graph.linear(seen, layer.out, layer.out_bias)
    attended = graph.normalised(
        graph.node("Add", given, seen), layer.first_scale, layer.first_shift
    )
    wide = graph.node("Gelu", graph.linear(attended, layer.widen, layer.widen_bias))
    narrow = graph.linear(wide, layer.narrow, layer.narrow_bias)
    return graph.normalised(
        graph.node("Add", attended, narrow), layer.second_scale, layer.second_shift, output
    )


def _pooled(graph: _Graph, hidden: str, pool: PoolArrays) -> None:
    """Each head asks which tokens matter to it, and adds up what those say."""
    asked = graph.node("MatMul", hidden, graph.weight(pool.query))
    share = graph.node("Softmax", asked, axis=1)
    said = graph.node("MatMul", hidden, graph.weight(pool.value))
    product = graph.node("Mul", share, said)
    total = graph.node("ReduceSum", product, graph.weight([1], np.int64), keepdims=0)
    graph.node("Add", total, graph.weight(pool.bias), output="result")


def _quantised(path: Path, graph: _Graph, shape: Sequence[int | None]) -> None:
    from onnx import TensorProto, helper, save
    from onnxruntime.quantization import QuantType, quantize_dynamic

    known = [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, None, WIDTH])]
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, list(shape))
    made = helper.make_graph(graph.nodes, "layers", known, [result], graph.weights)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION)
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        save(model, plain)
        # Seven bits: processors without the newer instructions would overflow with eight.
        quantize_dynamic(
            plain, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
        )
