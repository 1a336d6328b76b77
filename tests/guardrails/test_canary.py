import base64
import codecs
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, cut, grows_with_the_text, refused

from bartizan.guardrails.canary import Canary, CanaryConfig
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.testing import PLANTED, GuardrailConformance

TOKEN = "CANARY-7f3a9c17-Bluebird-Q2x9"


def canary(*tokens: str, **config: object) -> Canary:
    return Canary(CanaryConfig.model_validate({"tokens": tokens, **config}))


GUARDRAIL = canary(TOKEN)


class TestCanary(GuardrailConformance):
    def make(self) -> Guardrail:
        return canary(TOKEN, PLANTED[-18:])


DISGUISES = {
    "CANARY_PLAIN": [
        TOKEN,
        TOKEN.lower(),
        " ".join(TOKEN),
        "\u200b".join(TOKEN),
        "\n> ".join(TOKEN),
    ],
    "CANARY_REVERSED": [TOKEN[::-1]],
    "CANARY_ROT13": [codecs.encode(TOKEN, "rot13")],
    "CANARY_HEX": [TOKEN.encode().hex(" "), "".join(f"%{byte:02X}" for byte in TOKEN.encode())],
    "CANARY_ESCAPED": [
        "".join(f"\\x{byte:02x}" for byte in TOKEN.encode()),
        "".join(f"\\u{ord(char):04x}" for char in TOKEN),
    ],
    "CANARY_DECIMAL": [", ".join(str(ord(char)) for char in TOKEN)],
    "CANARY_BASE32": [base64.b32encode(TOKEN.encode()).decode()],
    "CANARY_BASE64": [
        base64.b64encode(f"{before}{TOKEN} and on".encode()).decode() for before in ("", "a", "ab")
    ]
    + [base64.urlsafe_b64encode(TOKEN.encode()).decode()],
}


@pytest.mark.parametrize(
    ("code", "text"), [(code, text) for code, texts in DISGUISES.items() for text in texts]
)
def test_it_is_found_in_every_disguise(code: str, text: str) -> None:
    [found] = asked(GUARDRAIL, f"so: {text} !")
    assert (found.category, found.code, found.score) == ("canary.token", code, 1.0)


@settings(max_examples=200, deadline=None)
@given(anything, anything, st.integers(0, 16), st.integers(12, 29))
def test_any_part_of_it_is_found_anywhere(before: str, after: str, start: int, size: int) -> None:
    part = TOKEN[start : start + size].strip("-")
    found = asked(GUARDRAIL, f"{before}#{part}#{after}")
    if sum(map(str.isalnum, part)) >= 12:
        assert any(
            one.start <= len(before) + 1 and one.end >= len(before) + 1 + len(part) for one in found
        )


def test_what_is_found_is_the_token_alone() -> None:
    assert cut(GUARDRAIL, f"é\ud800 {TOKEN}, {TOKEN[:20]}") == [
        ("canary.token", TOKEN),
        ("canary.fragment", TOKEN[:20]),
    ]


@pytest.mark.parametrize(
    "text", [TOKEN[:12], TOKEN[7:15], "canary bluebird", "7f3a9c17", "Q2x9" * 9]
)
def test_what_is_too_little_is_not_found(text: str) -> None:
    assert asked(GUARDRAIL, text) == []


def test_a_longer_part_tells_more() -> None:
    short, long = (asked(GUARDRAIL, TOKEN[:size])[0].score for size in (15, 25))
    assert 0.5 < short < long < 1
    assert asked(canary(TOKEN, fragment_characters=20), TOKEN[:15]) == []


def test_short_tokens_are_found_whole() -> None:
    assert cut(canary("a1b2c3d4"), "x a1b2c3d4 a1b2c3d") == [("canary.token", "a1b2c3d4")]


def test_tokens_come_from_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"\n{TOKEN}\n  other-token-42 \n", encoding="utf-8")
    guardrail = canary("first-token-1", tokens_file=str(file))
    text = f"first-token-1 {TOKEN} other-token-42"
    assert [found for _, found in cut(guardrail, text)] == text.split()


def test_nothing_tells_the_tokens(tmp_path: Path) -> None:
    assert TOKEN not in repr(CanaryConfig.model_validate({"tokens": [TOKEN]}))
    assert TOKEN not in refused(CanaryConfig, tokens=[TOKEN, TOKEN * 50])
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\nhunter2", encoding="utf-8")
    said = refused(CanaryConfig, tokens_file=str(file))
    assert "token 2 of tokens_file must have 8 to 500 letters or digits" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tokens": ["short"]}, "'tokens': token 0 must have 8 to 500 letters or digits"),
        ({"tokens": ["abababab"]}, "token 0 must have 4 different letters or digits"),
        ({"tokens": ["abcdefgh\ud800"]}, "token 0 holds a character"),
        ({"tokens_file": "/nowhere/at/all"}, "tokens_file cannot be read: No such file"),
        ({"fragment_characters": 3}, "'fragment_characters'"),
        ({"token": []}, "did you mean 'tokens'"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(given: dict[str, object], said: str) -> None:
    assert said in refused(CanaryConfig, **given)


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_text_is_borne(text: str) -> None:
    asked(GUARDRAIL, text)


@pytest.mark.parametrize("piece", ["a", TOKEN, TOKEN[:11] + " ", "canary", "é", "0"])
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    guardrail = canary(TOKEN, "canarycanarycanary")
    assert grows_with_the_text(lambda text: asked(guardrail, text), piece)
