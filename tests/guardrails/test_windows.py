import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.guardrails.engine import windows as engine
from bartizan.guardrails.engine.windows import windows

PATTERNS = (
    r"\b\d{3}-\d{2}\b", r"(?<![a-z])\d{3}(?!\w)", r"\d{2}(?![-. ]?\d)", r"(?<=ab )\d+", r"a{2,}",
    r"\w+@\w+(?:\.\w+)+\b", r"(?:\+?|00)1[-. ]?\d{3}(?!\w|[-.]\d)", r"^\d\d", r"(?<!x)\d\d(?=, \d)",
)  # fmt: skip

texts = st.lists(st.sampled_from("01 -.+,@abx\n") | st.sampled_from(("12-34", "ab 12", "x" * 9)))


@pytest.mark.parametrize("worth", [0, 3, 100])
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PATTERNS), texts.map("".join))
def test_all_matches_are_in_the_windows(worth: int, pattern: str, text: str) -> None:
    chosen = windows(pattern, 0)
    assert chosen is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "WORTH_A_WINDOW", worth)
        spans = chosen.of(text, text.encode())
    found = [
        (low + match.start(), low + match.end())
        for low, high in spans
        for match in regex.finditer(pattern, text[low:high])
    ]
    assert found == [match.span() for match in regex.finditer(pattern, text)]
