from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.guardrails.tiny_models import graph, text_scores, token_scores, word_pieces

from bartizan.guardrails.engine.onnx import OnnxModel
from bartizan.guardrails.engine.token_windows import Encoder
from bartizan.plugins.errors import ConfigError

TOKENIZER = word_pieces()
DOCUMENT = TOKENIZER.to_str()
WEIGHTS = {"fool": (3.0, -3.0), "idiot": (-2.0, 2.0)}
BASE = (-4.0, -5.0)


def loaded(model: onnx.ModelProto, **options: int) -> OnnxModel:
    encoder = Encoder.from_json(DOCUMENT, 32, 4)
    return OnnxModel(model.SerializeToString(), encoder, **options)


def adding(inputs: Mapping[str, int], output: str = "logits") -> onnx.ModelProto:
    """A model that adds its inputs up and calls that what it likes."""
    names = list(inputs)
    casts = [helper.make_node("Cast", [name], [f"f_{name}"], to=1) for name in names]
    added = helper.make_node("Sum", [f"f_{name}" for name in names], ["logits"])
    made = graph([*casts, added], {}, ["texts", "tokens"], inputs)
    made.graph.node[-1].output[0] = made.graph.output[0].name = output
    return made


def test_logits_of_texts() -> None:
    model = loaded(text_scores(TOKENIZER, WEIGHTS, BASE))
    texts = ["fine weather", "what a fool", "idiot and fool"]
    windows = [one for text in texts for one in model.encoder.windows(text, 1).windows]
    found = model.run(windows)
    assert [one.tolist() for one in found] == [[-4, -5], [3, -3], [3, 2]]
    assert all(one.dtype == np.float32 for one in found)


def test_logits_of_tokens_without_the_padding() -> None:
    model = loaded(token_scores(TOKENIZER, WEIGHTS, BASE))
    texts = ["fool", "a fine fool and an idiot"]
    windows = [one for text in texts for one in model.encoder.windows(text, 1).windows]
    short, long = model.run(windows)
    assert short.tolist() == [[-4, -5], [3, -3], [-4, -5]]
    assert len(long) == len(windows[1].ids) == 8


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
def test_inputs_are_of_the_kind_that_is_wanted(kind: int) -> None:
    model = loaded(adding({"input_ids": kind, "token_type_ids": kind}))
    [window] = model.encoder.windows("fool", 1).windows
    [found] = model.run([window])
    assert found.tolist() == window.ids.tolist()


@pytest.mark.parametrize("inputs", [{"pixels": 7}, {"input_ids": 1}, {"input_ids": 7, "bbox": 7}])
def test_a_model_of_something_else(inputs: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="which no text has"):
        loaded(adding(inputs))


def test_the_one_output_may_be_called_anything() -> None:
    assert loaded(adding({"input_ids": 7}, "scores")).run([Encoder(TOKENIZER, 8, 0).longest()])


def test_of_several_outputs_one_must_be_logits() -> None:
    made = adding({"input_ids": 7, "attention_mask": 7}, "scores")
    other = helper.make_tensor_value_info("f_input_ids", 1, ["texts", "tokens"])
    made.graph.output.append(other)
    with pytest.raises(ConfigError, match="none of the model's outputs is called 'logits'"):
        loaded(made)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\0" * 1_000])
def test_what_is_no_model(content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="cannot load the model"):
        OnnxModel(content, Encoder.from_json(DOCUMENT, 32, 4))
    assert not capfd.readouterr().err


def test_dynamically_quantized_models_judge_one_window_at_a_time() -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=1),
        helper.make_node("DynamicQuantizeLinear", ["numbers"], ["small", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["logits"]),
    ]
    made = graph(nodes, {}, ["texts", "tokens"], {"input_ids": 7})
    assert loaded(made, max_batch=8).max_batch == 1
    assert loaded(adding({"input_ids": 7}), max_batch=8).max_batch == 8


def test_a_model_with_threads() -> None:
    model = loaded(text_scores(TOKENIZER, WEIGHTS, BASE), threads=2)
    [found] = model.run([model.encoder.longest()])
    values: Any = found.tolist()
    assert values == [-4, -5]
