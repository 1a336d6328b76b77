import pytest
from hypothesis import given, settings
from tests.guardrails.asked import anything, asked, cut, grows_with_the_text, refused

from bartizan.guardrails.length import Length, LengthConfig, tokens
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.testing import GuardrailConformance


def length(**bounds: object) -> Length:
    return Length(LengthConfig.model_validate(bounds))


class TestLength(GuardrailConformance):
    def make(self) -> Guardrail:
        return length(**{name: {"max": 3} for name in ("characters", "lines", "words", "tokens")})


@pytest.mark.parametrize(
    ("name", "most", "text", "rest"),
    [
        ("characters", 3, "ab\U0001f600de", "de"),
        ("characters", 0, "a", "a"),
        ("lines", 2, "a\nb\nc\nd", "c\nd"),
        ("lines", 1, "a\n\nb", "\nb"),
        ("words", 2, " one  two three", " three"),
        ("tokens", 2, "one two three", " three"),
    ],
)
def test_what_is_too_long_is_found_from_the_bound_on(
    name: str, most: int, text: str, rest: str
) -> None:
    assert cut(length(**{name: {"max": most}}), text) == [(f"length.{name}", rest)]


@pytest.mark.parametrize(
    ("name", "fits"),
    [("characters", "abc"), ("lines", "a\nb\nc\n"), ("words", "a b c"), ("tokens", "a b c")],
)
def test_bounds_are_inside(name: str, fits: str) -> None:
    assert cut(length(**{name: {"min": 3, "max": 3}}), fits) == []
    assert cut(length(**{name: {"min": 4}}), fits) == [(f"length.{name}", fits)]
    [found] = asked(length(**{name: {"min": 4}}), fits)
    assert found.code == "TOO_SHORT"


def test_nothing_is_too_short_for_no_bound() -> None:
    assert asked(length(), "x" * 1_000) == []
    assert [found.code for found in asked(length(words={"min": 1}), "")] == ["TOO_SHORT"]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The quick brown fox jumps over the lazy dog.", 9, 12),
        ("internationalization", 3, 4),
        ("2026-11-20T13:37:00Z", 8, 14),
        ("def add(a, b):\n    return a + b\n", 12, 20),
        ("你好世界", 3, 6),
        ("Привет, как дела?", 5, 9),
        ("", 0, 0),
    ],
)
def test_tokens_are_about_right(text: str, least: int, most: int) -> None:
    assert least <= tokens(text) <= most


@settings(max_examples=200, deadline=None)
@given(anything)
def test_to_drop_what_is_found_leaves_what_fits(text: str) -> None:
    for name in ("characters", "lines", "words", "tokens"):
        guardrail = length(**{name: {"max": 3}})
        for found in asked(guardrail, text):
            assert asked(guardrail, text[: found.start]) == []
        assert tokens(text) <= len(text)


@pytest.mark.parametrize("piece", ["a", "\n", "a ", ".", "é", "\r"])
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    guardrail = length(
        lines={"min": 10**8}, words={"min": 10**8}, tokens={"min": 10**8}, characters={"max": 1}
    )
    assert grows_with_the_text(lambda text: asked(guardrail, text), piece)


def test_a_wrong_configuration_is_one_sentence() -> None:
    assert "did you mean 'words'" in refused(LengthConfig, wordz={"max": 1})
    assert "'words': 'min' is more than 'max'" in refused(LengthConfig, words={"min": 2, "max": 1})
    assert "'words.max'" in refused(LengthConfig, words={"max": -1})
    assert "'words.most' is not a known key" in refused(LengthConfig, words={"most": 1})
