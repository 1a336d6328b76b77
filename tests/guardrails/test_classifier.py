import asyncio
import gc
import math
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, cut
from tests.guardrails.tiny_models import SENTENCES, saved, text_scores, token_scores, word_pieces

from bartizan.guardrails.classifier import Classifier, ClassifierConfig
from bartizan.plugins.chain import Chain
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Finding, Guardrail, Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.rules import Rule, RuleSet
from bartizan.plugins.testing import GuardrailConformance

LABELS = {"0": "insult", "1": "OTHER thing!"}
WEIGHTS = {"fool": (3.0, -3.0), "idiot": (6.0, -6.0), "weather": (-4.0, 2.0)}
BASE = (-4.0, -4.0)
TOKENIZER = word_pieces()
INSULT = {"insult": {"category": "toxicity.insult"}}
BOTH = {**INSULT, "OTHER thing!": {"category": "other", "threshold": 0.3}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    config = {"id2label": LABELS, "problem_type": "multi_label_classification"}
    made = text_scores(TOKENIZER, WEIGHTS, BASE)
    return saved(tmp_path_factory.mktemp("classifier"), made, TOKENIZER, config)


def classifier(model: dict[str, Any], **document: Any) -> Classifier:
    small = {"max_tokens": 16, "overlap": 4, "labels": INSULT}
    return Classifier(parse_config(ClassifierConfig, {"model": model, **small, **document}, "rule"))


def why(model: dict[str, Any], **document: Any) -> str:
    """Returns why a model is not started, as a server says it."""
    rule = Rule(id="own", plugin="classifier")
    chain = Chain(RuleSet((rule,)), {"own": classifier(model, **document)}, hash_key=b"")
    with pytest.raises(ConfigError) as raised:
        asyncio.run(chain.start())
    return str(raised.value)


class TestClassifier(GuardrailConformance):
    @pytest.fixture(autouse=True)
    def with_model(self, model: dict[str, Any]) -> None:
        self.model = model

    def make(self) -> Guardrail:
        return classifier(self.model)


def test_a_finding_of_each_label(model: dict[str, Any]) -> None:
    found = asked(classifier(model, labels=BOTH), "the weather, you fool")
    assert found == [
        Finding("toxicity.insult", 0.9526, 0, 21, "CLASSIFIER_INSULT"),
        Finding("other", 0.8808, 0, 21, "CLASSIFIER_OTHER_THING"),
    ]


def test_what_is_below_the_threshold_of_its_label_is_none(model: dict[str, Any]) -> None:
    strict = {"insult": {"category": "toxicity.insult", "threshold": 0.96}}
    assert asked(classifier(model, labels=strict), "fool") == []
    assert len(asked(classifier(model, labels=strict), "idiot")) == 1
    assert asked(classifier(model), "") == asked(classifier(model), " \n") == []


def test_the_window_that_scores_most(model: dict[str, Any]) -> None:
    before, after = "fine fool today " * 40, " and warm in town" * 40
    [(category, covered)] = cut(classifier(model), f"{before}idiot{after}")
    assert category == "toxicity.insult"
    assert "idiot" in covered
    assert len(covered) < 120


@pytest.mark.parametrize(
    ("scores", "expected"),
    [("softmax", 1 / (1 + math.exp(-6))), ("sigmoid", 1 / (1 + math.exp(-3))), (None, None)],
)
def test_how_scores_become_probabilities(
    model: dict[str, Any], scores: str | None, expected: float | None
) -> None:
    [found] = asked(classifier(model, scores=scores), "fool")
    assert found.score == round(expected or 1 / (1 + math.exp(-3)), 4)


@pytest.mark.parametrize("kind", [None, "single_label_classification"])
def test_one_of_the_labels_unless_the_model_says_otherwise(
    tmp_path: Path, kind: str | None
) -> None:
    config = {"id2label": LABELS, "problem_type": kind}
    source = saved(tmp_path, text_scores(TOKENIZER, WEIGHTS, BASE), TOKENIZER, config)
    [found] = asked(classifier(source), "fool")
    assert found.score == 0.9975


def test_a_single_label_is_true_or_not(tmp_path: Path) -> None:
    made = text_scores(TOKENIZER, {"fool": (3.0,)}, (-4.0,))
    source = saved(tmp_path, made, TOKENIZER, {"id2label": {"0": "insult"}})
    assert [one.score for one in asked(classifier(source), "fool")] == [0.9526]
    assert asked(classifier(source), "fine weather") == []


def test_labels_may_be_named_in_the_rule(tmp_path: Path) -> None:
    source = saved(tmp_path, text_scores(TOKENIZER, WEIGHTS, BASE), TOKENIZER, {})
    assert "neither config.json nor 'label_names'" in why(source)
    assert len(asked(classifier(source, label_names=["other", "insult"]), "weather")) == 1


@given(text=anything, times=st.integers(1, 50))
def test_any_text(model: dict[str, Any], text: str, times: int) -> None:
    asked(classifier(model, labels=BOTH), text * times)


def test_a_long_text_is_judged_so_far_and_says_so(model: dict[str, Any]) -> None:
    text = "fine weather " * 100_000 + "idiot"
    [found] = asked(classifier(model, max_windows=8), text)
    assert (found.category, found.code, found.score) == ("classifier.unjudged", "TOO_LONG", 1)
    assert 0 < found.start < 1_000
    assert found.end == len(text)
    assert asked(classifier(model, max_windows=8, report_unjudged=False), text) == []


async def test_batches_do_not_change_scores(model: dict[str, Any]) -> None:
    one, eight = classifier(model, max_batch=1), classifier(model, max_batch=8)
    texts = [Text(Role.USER, "fool " * n + sentence) for n in range(20) for sentence in SENTENCES]
    assert await one.check(texts) == await eight.check(texts)


async def test_calls_at_once_get_their_own(model: dict[str, Any]) -> None:
    guardrail = classifier(model)
    values = ["fool", "fine", "idiot", "weather " * 50] * 10
    calls = [guardrail.check([Text(Role.USER, value)]) for value in values]
    found = [len(result[0]) for result in await asyncio.gather(*calls)]
    assert found == [1, 0, 1, 0] * 10


async def test_cancelled_it_goes_on_with_others(model: dict[str, Any]) -> None:
    guardrail = classifier(model, max_windows=4_096)
    long = [Text(Role.USER, f"{n} fine weather " * 5_000) for n in range(4)]
    call = asyncio.ensure_future(guardrail.check(long))
    for _ in range(5):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    [[found]] = await guardrail.check([Text(Role.USER, "fool")])
    assert found.category == "toxicity.insult"


async def test_rules_share_a_model_and_let_it_go(model: dict[str, Any]) -> None:
    config = {"max_tokens": 18}
    first, second = classifier(model, **config), classifier(model, labels=BOTH, **config)
    await asyncio.gather(first.start(), second.start())
    shared = first._model._loaded
    assert shared is not None
    assert shared is second._model._loaded
    gone = threading.Event()
    weakref.finalize(shared, gone.set)
    del shared
    await first.aclose()
    assert len((await second.check([Text(Role.USER, "fool")]))[0]) == 1
    await second.aclose()
    gc.collect()
    assert await asyncio.to_thread(gone.wait, 30)


def test_another_file_than_was_meant(model: dict[str, Any]) -> None:
    wrong = {**model, "sha256": {"model.onnx": "0" * 64}}
    assert "'model.onnx' has another SHA-256 than it should" in why(wrong)


def test_labels_that_the_model_has_not(model: dict[str, Any]) -> None:
    said = why(model, labels={"insults": {"category": "toxicity.insult"}})
    assert said == "the model has no label 'insults' (did you mean 'insult'?)"


async def test_labels_are_looked_at_without_a_start_too(model: dict[str, Any]) -> None:
    guardrail = classifier(model, labels={"insults": {"category": "toxicity.insult"}})
    for _ in range(2):
        with pytest.raises(ConfigError, match="no label 'insults'"):
            await guardrail.check([Text(Role.USER, "fool")])


def test_labels_in_another_number(model: dict[str, Any]) -> None:
    said = why(model, label_names=["insult", "b", "c"])
    assert said.endswith("it gives 2 scores, and there are 3 labels")


def test_a_model_that_scores_tokens(tmp_path: Path) -> None:
    made = token_scores(TOKENIZER, WEIGHTS, BASE)
    source = saved(tmp_path, made, TOKENIZER, {"id2label": LABELS})
    assert why(source).endswith("it does not score texts as a whole")


def test_a_model_that_gives_no_numbers(tmp_path: Path) -> None:
    made = text_scores(TOKENIZER, {"fool": (math.inf, 0.0)}, BASE)
    source = saved(tmp_path, made, TOKENIZER, {"id2label": LABELS})
    guardrail = classifier(source, scores="sigmoid")
    with pytest.raises(ArithmeticError):
        asked(guardrail, "fool")
    assert asked(guardrail, "weather") == []


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_missing_package_is_named(
    model: dict[str, Any], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in ("onnx", "onnx_runtime", "token_windows"):
        monkeypatch.delitem(sys.modules, f"bartizan.guardrails.engine.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    said = why(model, max_tokens=17)
    assert said.startswith(f"guardrail 'classifier' of rule 'own' needs '{package}'")
    assert f"pip install '{package}'" in said


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"labels": {}}, "'labels'"),
        ({"labels": {"a": {"category": "Bad Category"}}}, "'labels.a.category'"),
        ({"labels": {"a": {"category": "a", "threshold": 2}}}, "'labels.a.threshold'"),
        ({"engine": "onxx"}, "'engine'"),
        ({"device": "gpu"}, "'device'"),
        ({"max_windows": 0}, "'max_windows'"),
        ({"model": {"path": "a", "sha256": {}, "trust_remote_code": True}}, "not a known key"),
    ],
)
def test_what_is_refused(model: dict[str, Any], document: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(ClassifierConfig, {"model": model, "labels": INSULT, **document}, "rule")
    assert said in str(raised.value)
