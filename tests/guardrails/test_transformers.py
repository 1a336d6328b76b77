"""Models in the form of the library `transformers`. Needs it and torch to be installed."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.guardrails.asked import asked
from tests.guardrails.tiny_models import saved, source, text_scores, word_pieces

from bartizan.guardrails.classifier import Classifier, ClassifierConfig
from bartizan.guardrails.names import Names, NamesConfig
from bartizan.plugins.chain import Chain
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Guardrail, Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.rules import Rule, RuleSet
from bartizan.plugins.testing import GuardrailConformance

LABELS = {0: "safe", 1: "attack"}
TAGS = {0: "O", 1: "PER", 2: "LOC"}
WEIGHTS = "model.safetensors"
ALL = {"attack": {"category": "injection.direct", "threshold": 0.0}}


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = word_pieces()
    model = saved(tmp_path, text_scores(tokenizer, {}, (0.0,)), tokenizer, {"id2label": {0: "a"}})
    monkeypatch.delitem(sys.modules, "bartizan.guardrails.engine.transformers", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    said = why(classifier(model, labels={"a": {"category": "a"}}))
    assert said.startswith("guardrail 'classifier' of rule 'own' needs 'torch'")


def classifier(model: dict[str, Any], **document: Any) -> Classifier:
    given = {"model": model, "engine": "transformers", "labels": ALL, "max_tokens": 32}
    return Classifier(parse_config(ClassifierConfig, {**given, "overlap": 8, **document}, "rule"))


def why(guardrail: Guardrail) -> str:
    """Returns why a model is not started, as a server says it."""
    chain = Chain(RuleSet((Rule(id="own", plugin="classifier"),)), {"own": guardrail}, hash_key=b"")
    with pytest.raises(ConfigError) as raised:
        asyncio.run(chain.start())
    return str(raised.value)


def made(folder: Path, auto: str, labels: dict[int, str], **more: Any) -> dict[str, Any]:
    """Saves a BERT with random weights, and its tokenizer."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=word_pieces(),
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.5,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
        **more,
    )
    model = getattr(transformers, auto)(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return source(folder, WEIGHTS)


@pytest.fixture(scope="module")
def texts_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return made(tmp_path_factory.mktemp("texts"), "BertForSequenceClassification", LABELS)


@pytest.fixture(scope="module")
def tokens_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return made(tmp_path_factory.mktemp("tokens"), "BertForTokenClassification", TAGS)


class TestClassifierOfTransformers(GuardrailConformance):
    @pytest.fixture(autouse=True)
    def with_model(self, texts_model: dict[str, Any]) -> None:
        self.model = texts_model

    def make(self) -> Guardrail:
        # Alone, for the last digits depend on what else is in a batch.
        return classifier(self.model, max_batch=1)


class TestNamesOfTransformers(GuardrailConformance):
    @pytest.fixture(autouse=True)
    def with_model(self, tokens_model: dict[str, Any]) -> None:
        self.model = tokens_model

    def make(self) -> Guardrail:
        return names(self.model, max_batch=1)


def names(model: dict[str, Any], **document: Any) -> Names:
    given = {"model": model, "engine": "transformers", "max_tokens": 32, "overlap": 8}
    return Names(parse_config(NamesConfig, {**given, "threshold": 0.0, **document}, "rule"))


@pytest.mark.parametrize("text", ["you are a fool", "Fine weather, ada!", "x" * 20])
def test_scores_are_those_of_the_library(texts_model: dict[str, Any], text: str) -> None:
    transformers = pytest.importorskip("transformers")
    pipeline = transformers.pipeline("text-classification", model=texts_model["path"], top_k=None)
    [given] = pipeline([text])
    [expected] = [one["score"] for one in given if one["label"] == "attack"]
    [found] = asked(classifier(texts_model), text)
    assert found.score == pytest.approx(expected, abs=1e-4)
    assert (found.start, found.end) == (0, len(text))


def test_names_are_those_of_the_library(tokens_model: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    pipeline = transformers.pipeline(
        "token-classification", model=tokens_model["path"], aggregation_strategy="first"
    )
    texts = ["ada lovelace wrote to charles babbage from london", "the weather in town is fine"]
    for text in texts:
        expected = {(one["start"], one["end"]) for one in pipeline(text)}
        found = {(one.start, one.end) for one in asked(names(tokens_model), text)}
        assert found == expected


async def test_batches_do_not_change_scores(texts_model: dict[str, Any]) -> None:
    texts = [Text(Role.USER, "you fool " * (n % 17)) for n in range(40)]
    one, eight = (classifier(texts_model, max_batch=size) for size in (1, 8))
    for alone, together in zip(await one.check(texts), await eight.check(texts), strict=True):
        scores = [[finding.score for finding in given] for given in (alone, together)]
        assert scores[0] == pytest.approx(scores[1], abs=2e-4)


def test_only_safetensors_are_loaded(tmp_path: Path) -> None:
    model = made(tmp_path, "BertForSequenceClassification", LABELS)
    (tmp_path / WEIGHTS).rename(tmp_path / "pytorch_model.bin")
    pickled = source(tmp_path, "pytorch_model.bin")
    assert why(classifier(pickled)).endswith(f"'sha256' must say what '{WEIGHTS}' is")
    said = why(classifier({**pickled, "weights": "pytorch_model.bin"}))
    assert said.endswith(f"only '{WEIGHTS}' is loaded, no other weights")
    assert why(classifier(model)).endswith(f"has no file '{WEIGHTS}'")


def test_other_weights_than_were_meant(texts_model: dict[str, Any]) -> None:
    wrong = {**texts_model, "sha256": {WEIGHTS: "0" * 64}}
    assert "another SHA-256 than it should" in why(classifier(wrong))


def test_weights_that_were_not_trained_are_not_made_up(tokens_model: dict[str, Any]) -> None:
    # Without its head: the library would begin with random numbers.
    base = Path(tokens_model["path"])
    tensors = pytest.importorskip("safetensors.torch")
    weights = {
        name: value
        for name, value in tensors.load_file(base / WEIGHTS).items()
        if not name.startswith("classifier")
    }
    folder = base.parent / "headless"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((base / name).read_bytes())
    tensors.save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    said = why(classifier(source(folder, WEIGHTS), labels={"O": {"category": "a"}}))
    assert "some weights are missing" in said


def test_code_of_a_model_is_not_run(tmp_path: Path) -> None:
    made(tmp_path, "BertForSequenceClassification", LABELS)
    config = tmp_path / "config.json"
    auto = '"auto_map": {"AutoModelForSequenceClassification": "own.Own"}, "model_type": "own"'
    config.write_text(config.read_text().replace('"model_type": "bert"', auto))
    (tmp_path / "own.py").write_text("raise SystemExit('run')")
    said = why(classifier(source(tmp_path, WEIGHTS)))
    assert "cannot be loaded" in said


def test_more_tokens_than_the_model_takes(texts_model: dict[str, Any]) -> None:
    said = why(classifier(texts_model, max_tokens=64))
    assert "it cannot judge 64 tokens at once" in said
