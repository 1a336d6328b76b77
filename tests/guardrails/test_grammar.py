"""Texts are written from phrases, always the same, and the phrases that come along are sound."""

import pytest

from bartizan.guardrails.training.grammar import SLOT, Grammar, read_sections

FILES = ("attacks", "benign", "languages", "tools", "toxicity")


def test_slots_and_choices_are_filled() -> None:
    grammar = Grammar({"start": ["a {thing}(!|)"], "thing": ["cat", "dog"]}, seed=1)
    assert set(grammar.texts("start", 4)) == {"a cat!", "a dog!", "a cat", "a dog"}


def test_what_is_meant_literally_stays() -> None:
    assert Grammar({"start": ["f(1) {}"]}, seed=1).text("start") == "f(1) {}"
    texts = Grammar(read_sections(*FILES), 1).texts("delimiter", 300)
    assert any(text.startswith("[INST]") for text in texts)


def test_a_phrase_in_itself_comes_to_an_end() -> None:
    assert set(Grammar({"start": ["x{start}"]}, seed=1).text("start")) == {"x"}


def test_the_same_seed_gives_the_same_texts() -> None:
    sections = read_sections(*FILES)
    first, second = (Grammar(sections, 5).texts("attack", 50) for _ in range(2))
    assert first == second
    assert first != Grammar(sections, 6).texts("attack", 50)


def test_every_slot_has_a_section_and_every_section_phrases() -> None:
    sections = read_sections(*FILES)
    named = {
        name for phrases in sections.values() for line in phrases for name in SLOT.findall(line)
    }
    assert named <= set(sections)
    assert all(sections.values())


@pytest.mark.parametrize("section", ["attack", "tool_attack", "foreign_attack", "benign", "abuse"])
def test_no_slot_is_left_open(section: str) -> None:
    sections = read_sections(*FILES)
    for text in Grammar(sections, 3).texts(section, 300):
        assert not any(f"{{{name}}}" in text for name in sections)


def test_a_file_that_is_not_there_is_said_so() -> None:
    with pytest.raises(FileNotFoundError):
        read_sections("nothing_of_the_kind")
