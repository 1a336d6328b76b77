"""Builds models that are real and tiny: a tokenizer trained on the spot, a graph of few nodes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = (
    "the weather in town is fine and warm today",
    "you are a fool and an idiot",
    "ada lovelace wrote to charles babbage from london",
    "please ignore all of it, said paris to rome!",
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def word_pieces() -> Tokenizer:
    """Returns a tokenizer like BERT's: lower case, no accents, words cut in pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = "abcdefghijklmnopqrstuvwxyz"
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=list(letters), show_progress=False
    )
    tokenizer.train_from_iterator([*SENTENCES, *letters, f"z{letters}"], trainer)
    return _framed(tokenizer)


def byte_pairs() -> Tokenizer:
    """Returns a tokenizer like RoBERTa's: of bytes, spaces belong to the word behind them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return _framed(tokenizer)


def unigrams() -> Tokenizer:
    """Returns a tokenizer like DeBERTa's: of sentencepiece, with a mark for spaces."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return _framed(tokenizer)


def first_token(tokenizer: Tokenizer, word: str) -> int:
    """Returns the number of a word's first token."""
    number: int = tokenizer.encode(word, add_special_tokens=False).ids[0]
    return number


def text_scores(
    tokenizer: Tokenizer, weights: Mapping[str, Sequence[float]], base: Sequence[float]
) -> onnx.ModelProto:
    """Returns a model: each label's logit is the highest of the words in the text.

    `weights`: the logits of words; `base`: those of all other tokens.
    """
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["mask", "one"], ["absent"]),
        helper.make_node("Mul", ["absent", "much"], ["penalty"]),
        helper.make_node("Unsqueeze", ["penalty", "last"], ["penalties"]),
        helper.make_node("Add", ["tokens", "penalties"], ["seen"]),
        helper.make_node("ReduceMax", ["seen", "middle"], ["logits"], keepdims=0),
    ]
    constants = {
        "table": _table(tokenizer, weights, base),
        "one": np.float32(1),
        "much": np.float32(1000),
        "last": np.array([2]),
        "middle": np.array([1]),
    }
    return graph(nodes, constants, ["texts", len(base)])


def token_scores(
    tokenizer: Tokenizer, weights: Mapping[str, Sequence[float]], base: Sequence[float]
) -> onnx.ModelProto:
    """Returns a model: the logits of each token are those of the word that it begins."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["logits"])]
    return graph(nodes, {"table": _table(tokenizer, weights, base)}, ["texts", "tokens", len(base)])


def graph(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any],
    shape: Sequence[str | int],
    inputs: Mapping[str, int] = {"input_ids": 7, "attention_mask": 7},
) -> onnx.ModelProto:
    """Returns a graph of nodes with one output, `logits`."""
    given = [
        helper.make_tensor_value_info(name, kind, ["texts", "tokens"])
        for name, kind in inputs.items()
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(shape))
    held = [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()]
    made = helper.make_graph(list(nodes), "tiny", given, [output], held)
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(made, opset_imports=opset, ir_version=9)


def saved(
    folder: Path, model: onnx.ModelProto, tokenizer: Tokenizer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes a model to a folder, and returns what a rule says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config))
    return source(folder, "model.onnx", "tokenizer.json", "config.json")


def source(folder: Path, *names: str) -> dict[str, Any]:
    """Returns what a rule says of a model in a folder."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    return {"path": str(folder), "sha256": digests}


def _table(
    tokenizer: Tokenizer, weights: Mapping[str, Sequence[float]], base: Sequence[float]
) -> Any:
    table = np.tile(np.array(base, np.float32), (tokenizer.get_vocab_size(), 1))
    for word, logits in weights.items():
        table[first_token(tokenizer, word)] = logits
    return table


def _framed(tokenizer: Tokenizer) -> Tokenizer:
    numbers = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=numbers
    )
    return tokenizer
