import asyncio
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from tests.guardrails.asked import anything, asked, grows_with_the_text, refused

from bartizan.guardrails.engine.ngrams import BUCKETS
from bartizan.guardrails.topics.background import Background, background, rarities
from bartizan.guardrails.topics.config import MAX_EXAMPLES_TOGETHER, TopicsConfig
from bartizan.guardrails.topics.guardrail import Topics
from bartizan.guardrails.topics.scorer import Scorer
from bartizan.plugins.contract import Guardrail, Role, Text
from bartizan.plugins.testing import GuardrailConformance

MEDICAL = [
    "What is the right dose of ibuprofen for a headache?",
    "Can I take paracetamol together with antibiotics?",
    "My child has a fever and a rash, which medicine should we take?",
    "Which symptoms does a migraine have, and what helps against the pain?",
    "Is it dangerous to stop my blood pressure pills?",
    "What are the side effects of this antidepressant?",
    "I have chest pain when I climb stairs, do I need a doctor?",
    "How many tablets a day may an adult take?",
]
PARCELS = [
    "Where is my parcel?",
    "The parcel has not arrived, can you track the delivery?",
    "I want to send the order back, how do I return it?",
    "When will my order be shipped?",
    "Can I change the delivery address of my order?",
    "The courier left the package with a neighbour.",
    "How much is express shipping to Austria?",
    "My order came damaged, I would like a refund.",
]
SICK = "How many ibuprofen tablets may I take a day against a headache?"
LATE = "My parcel was due on Monday, when will the courier deliver it?"
CODE = "Write a Python function that sorts a list of tuples by the second item, in place."


def topics(**config: object) -> Topics:
    return Topics(TopicsConfig.model_validate(config))


def topic(name: str, examples: list[str]) -> dict[str, object]:
    return {"name": name, "examples": examples}


DENY = topics(deny=[topic("medical_advice", MEDICAL)])
ALLOW = topics(allow=[topic("parcels", PARCELS)])


class TestTopics(GuardrailConformance):
    def make(self) -> Guardrail:
        return topics(deny=[topic("medical", MEDICAL)], allow=[topic("parcels", PARCELS)])


def test_a_denied_topic_is_found() -> None:
    [found] = asked(DENY, SICK)
    assert (found.category, found.code) == ("topics.denied", "TOPIC_MEDICAL_ADVICE")
    assert (found.start, found.end) == (0, len(SICK))
    assert 0.5 <= found.score <= 1


def test_other_topics_are_not() -> None:
    assert asked(DENY, LATE) == []
    assert asked(DENY, CODE) == []


def test_a_text_about_nothing_allowed_is_off_topic() -> None:
    assert asked(ALLOW, LATE) == []
    for text in (SICK, CODE):
        [found] = asked(ALLOW, text)
        assert (found.category, found.code) == ("topics.off_topic", "OFF_TOPIC")
        assert (found.start, found.end) == (0, len(text))


def test_any_of_several_allowed_topics_will_do() -> None:
    both = topics(allow=[topic("parcels", PARCELS), topic("health", MEDICAL)])
    assert asked(both, LATE) == asked(both, SICK) == []
    assert [one.category for one in asked(both, CODE)] == ["topics.off_topic"]


@pytest.mark.parametrize("text", ["yes, please", "ok", "thanks!" + 100 * " ", "  \n"])
def test_short_texts_are_about_nothing(text: str) -> None:
    assert asked(ALLOW, text) == []


def test_one_sentence_in_a_long_text_is_found_where_it_stands() -> None:
    long = f"{40 * (CODE + ' ')}{SICK} {40 * (CODE + ' ')}"
    [found] = asked(DENY, long)
    place = long.index(SICK)
    assert found.start <= place + len(SICK) // 2 <= found.end
    assert found.end - found.start < 800


def test_tricks_do_not_hide_a_topic() -> None:
    hidden = "\u200b".join(SICK)
    [found] = asked(DENY, hidden)
    assert (found.start, found.end) == (0, len(hidden))


def test_a_higher_bar_finds_less() -> None:
    [found] = asked(DENY, SICK)
    strict = topics(deny=[topic("m", MEDICAL)], least_score=min(1, found.score + 0.001))
    assert asked(strict, SICK) == []


def test_without_topics_nothing_is_found() -> None:
    assert asked(topics(), SICK) == []


@settings(max_examples=100, deadline=None)
@given(anything)
def test_any_text_is_borne(text: str) -> None:
    asked(DENY, text)
    asked(ALLOW, text)


@settings(max_examples=30, deadline=None)
@given(anything.filter(lambda text: sum(map(str.isalnum, text)) > 1 and len(text) > 2))
def test_any_example_is_borne_and_likest_to_itself(text: str) -> None:
    scorer = Scorer([[text]], background())
    found = scorer.likeness(text)
    assert found.near.max() == pytest.approx(1) or len(text) > 170
    assert np.isfinite(found.common).all()


def test_the_time_grows_with_the_text_and_not_faster() -> None:
    asyncio.run(DENY.check([Text(Role.USER, SICK)]))
    assert grows_with_the_text(lambda text: asked(DENY, text), SICK)


def test_the_order_of_topics_and_their_number_change_no_score() -> None:
    alone = Scorer([MEDICAL], background()).score(SICK)
    both = Scorer([PARCELS, MEDICAL], background()).score(SICK)
    assert both[1].score == pytest.approx(alone[0].score)


def test_a_background_is_kept_as_it_was() -> None:
    known = Background(rarities([np.array([1, 2]), np.array([2])]), (0.0, 1.0, 2.0, 3.0))
    file = BytesIO()
    known.write(file)
    file.seek(0)
    again = Background.read(file)
    assert again.terms == known.terms
    assert np.abs(again.rarity - known.rarity).max() <= 1 / 32
    assert again.rarity[2] < again.rarity[1] < again.rarity[3]


def test_a_damaged_background_is_refused() -> None:
    with pytest.raises(ValueError, match="not a background"):
        Background.read(BytesIO(b"PK\3\4 nothing"))
    file = BytesIO()
    np.savez(file, rarity=np.zeros(BUCKETS - 1, np.uint8), terms=np.zeros(4))
    file.seek(0)
    with pytest.raises(ValueError, match="another kind"):
        Background.read(file)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"deny": [topic("a", ["word"]), topic("a", ["word"])]}, "two topics have the name 'a'"),
        ({"deny": [topic("A", ["word"])]}, "'deny[0].name'"),
        ({"deny": [topic("a", [])]}, "'deny[0].examples'"),
        ({"deny": [topic("a", ["?!?!"])]}, "example 0 has no words"),
        ({"deny": [topic("a", ["word"] * 201)]}, "'deny[0].examples'"),
        (
            {"deny": [topic(f"t{n}", ["word"] * 200) for n in range(11)]},
            f"more than {MAX_EXAMPLES_TOGETHER}",
        ),
        ({"permit": []}, "'permit' is not a known key"),
    ],
)
def test_what_is_refused(config: dict[str, object], said: str) -> None:
    assert said in refused(TopicsConfig, **config)
