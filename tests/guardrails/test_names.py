import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, cut
from tests.guardrails.tiny_models import (
    byte_pairs,
    saved,
    text_scores,
    token_scores,
    unigrams,
    word_pieces,
)
from tokenizers import Tokenizer

from bartizan.guardrails.engine.entity_spans import Token, entities, likeliest, tags
from bartizan.guardrails.names import Names, NamesConfig
from bartizan.plugins.chain import Chain
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Finding, Guardrail
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.rules import Rule, RuleSet
from bartizan.plugins.testing import GuardrailConformance

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC"]
NAMED = {"id2label": {str(number): label for number, label in enumerate(LABELS)}}
WORDS = {
    "ada": "B-PER",
    "lovelace": "I-PER",
    "charles": "B-PER",
    "babbage": "I-PER",
    "london": "B-LOC",
    "paris": "B-LOC",
    "rome": "B-MISC",
    "said": "B-ORG",
}


def scored(label: str) -> list[float]:
    return [8.0 if name == label else 0.0 for name in LABELS]


WEIGHTS = {word: scored(label) for word, label in WORDS.items()}


def source(folder: Path, make: Callable[[], Tokenizer]) -> dict[str, Any]:
    tokenizer = make()
    return saved(folder, token_scores(tokenizer, WEIGHTS, scored("O")), tokenizer, NAMED)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return source(tmp_path_factory.mktemp("names"), word_pieces)


def names(model: dict[str, Any], **document: Any) -> Names:
    small = {"max_tokens": 16, "overlap": 6}
    return Names(parse_config(NamesConfig, {"model": model, **small, **document}, "rule"))


def why(model: dict[str, Any], **document: Any) -> str:
    """Returns why a model is not started, as a server says it."""
    chain = Chain(
        RuleSet((Rule(id="own", plugin="names"),)), {"own": names(model, **document)}, hash_key=b""
    )
    with pytest.raises(ConfigError) as raised:
        asyncio.run(chain.start())
    return str(raised.value)


class TestNames(GuardrailConformance):
    @pytest.fixture(autouse=True)
    def with_model(self, model: dict[str, Any]) -> None:
        self.model = model

    def make(self) -> Guardrail:
        return names(self.model)


def test_names_at_their_places(model: dict[str, Any]) -> None:
    text = "Ada Lovelace wrote to Charles Babbage, from London. Fine!"
    assert cut(names(model), text) == [
        ("pii.person", "Ada Lovelace"),
        ("pii.person", "Charles Babbage"),
        ("pii.location", "London"),
    ]
    [found] = asked(names(model), " Ada ")
    assert found == Finding("pii.person", 0.998, 1, 4, "NAMES_PERSON")


def test_what_is_looked_for(model: dict[str, Any]) -> None:
    text = "Ada said: Rome, Paris"
    assert cut(names(model, kinds=["organization"]), text) == [("pii.organization", "said")]
    assert cut(names(model, labels={"MISC": "location"}), text) == [
        ("pii.person", "Ada"),
        ("pii.location", "Rome"),
        ("pii.location", "Paris"),
    ]
    assert cut(names(model, threshold=0.999), text) == []


GAPS = st.sampled_from(
    [" ", "  ", "\n", " \u200b", ", ", "! ", " \U0001f469\u200d\U0001f4bb ", "\t"]
)
FILLERS = st.sampled_from(
    [
        *("the", "weather", "e\u0301te\u0301", "\U0001f600", "\U0001d4d0", "\u5317\u4eac", "[SEP]"),
        *("\u05e9\u05dc\u05d5\u05dd", "\ud800", "12", "xylophone", "\ufb01ne"),
    ]
)
PLANTED = st.sampled_from(
    ["Ada", "paris", "LONDON", "Lovelace", "charles", "Pa\u0301ris", "ada\u0301"]
)
PARTS = st.lists(st.tuples(FILLERS, GAPS, PLANTED, GAPS), max_size=25)


@given(parts=PARTS)
def test_a_span_is_the_word_that_was_planted(
    model: dict[str, Any], parts: list[tuple[str, str, str, str]]
) -> None:
    text, planted = "", []
    for filler, gap, name, after in parts:
        start = len(text) + len(filler + gap)
        planted.append((start, start + len(name)))
        text += filler + gap + name + after
    found = asked(names(model), text)
    assert [(one.start, one.end) for one in found] == planted


@pytest.mark.parametrize("make", [byte_pairs, unigrams])
@pytest.mark.parametrize("emoji", ["", "\U0001f469\u200d\U0001f4bb", "e\u0301", "\ud800", "\u5317"])
def test_other_tokenizers(tmp_path: Path, make: Callable[[], Tokenizer], emoji: str) -> None:
    text = f"the {emoji} weather in  london from {emoji}  paris today"
    found = cut(names(source(tmp_path, make)), text)
    assert ("pii.location", "london") in found
    assert ("pii.location", "paris") in found


@given(text=anything, times=st.integers(1, 50))
def test_any_text(model: dict[str, Any], text: str, times: int) -> None:
    asked(names(model), text * times)


def test_a_name_across_two_windows_is_one(model: dict[str, Any]) -> None:
    for before in range(40):
        text = "the " * before + "ada lovelace" + " the" * 20
        assert cut(names(model), text) == [("pii.person", "ada lovelace")]


def test_what_was_not_judged_is_said(model: dict[str, Any]) -> None:
    text = "ada " * 100_000
    *found, rest = asked(names(model, max_windows=2), text)
    assert {one.category for one in found} == {"pii.person"}
    assert (rest.category, rest.code, rest.end) == ("names.unjudged", "TOO_LONG", len(text))
    assert rest.start == found[-1].end


def test_models_for_something_else(model: dict[str, Any], tmp_path: Path) -> None:
    assert "'labels' what its own mean" in why(model, kinds=["address"])
    assert "did you mean 'MISC'" in why(model, labels={"MIS": "person"})
    tokenizer = word_pieces()
    texts = saved(tmp_path, text_scores(tokenizer, WEIGHTS, scored("O")), tokenizer, NAMED)
    assert why(texts).endswith("it does not score each token")


def tagged(text: str, *labels: str) -> list[tuple[str, str]]:
    known = tags(sorted({*labels}))
    tokens, place = [], 0
    for word, label in zip(text.split(), labels, strict=True):
        start = text.index(word, place)
        place = start + len(word)
        tokens.append(Token(start, place, known[sorted({*labels}).index(label)], 0.9))
    return [(one.kind, text[one.start : one.end]) for one in entities(text, tokens)]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("B-PER", "I-PER", "O"), [("PER", "a b")]),
        (("B-PER", "B-PER", "O"), [("PER", "a"), ("PER", "b")]),
        (("I-PER", "I-PER", "I-LOC"), [("PER", "a b"), ("LOC", "c")]),
        (("B-PER", "O", "I-PER"), [("PER", "a"), ("PER", "c")]),
        (("S-PER", "S-PER", "B-LOC"), [("PER", "a"), ("PER", "b"), ("LOC", "c")]),
        (("B-PER", "E-PER", "I-PER"), [("PER", "a b"), ("PER", "c")]),
        (("U-PER", "B-PER", "L-PER"), [("PER", "a"), ("PER", "b c")]),
        (("PER", "PER", "LOC-X"), [("PER", "a b"), ("LOC-X", "c")]),
    ],
)
def test_schemes_of_tags(labels: tuple[str, ...], expected: list[tuple[str, str]]) -> None:
    assert tagged("a b c", *labels) == expected


def test_the_labels_of_a_kind_count_together() -> None:
    known = tags(["O", "B-PER", "I-PER"])
    [(tag, score)] = likeliest(np.array([[0.4, 0.25, 0.35]]), known)
    assert (tag.kind, tag.begins) == ("PER", False)
    assert score == pytest.approx(0.6)
    assert likeliest(np.zeros((0, 3)), known) == []
