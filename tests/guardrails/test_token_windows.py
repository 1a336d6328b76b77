import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guardrails.asked import anything
from tests.guardrails.tiny_models import byte_pairs, unigrams, word_pieces

from bartizan.guardrails.engine.looking import NobodyWaits
from bartizan.guardrails.engine.token_windows import PIECE_CHARACTERS, Encoder
from bartizan.plugins.errors import ConfigError

MAKE = (word_pieces, byte_pairs, unigrams)
DOCUMENTS = {make.__name__: make().to_str() for make in MAKE}
ENCODERS = {name: Encoder.from_json(one, 16, 5) for name, one in DOCUMENTS.items()}
WIDE = {name: Encoder.from_json(one, 8_192, 0) for name, one in DOCUMENTS.items()}
ALL = 1_000


@pytest.mark.parametrize("name", ENCODERS)
@given(text=anything, times=st.integers(1, 4))
def test_every_token_has_its_place_and_one_window(name: str, text: str, times: int) -> None:
    text *= times
    windows, end = ENCODERS[name].windows(text, ALL)
    assert end == len(text)
    for window in windows:
        assert len(window.ids) <= 16
        assert len(window.ids) == len(window.spans) + 2
        assert 0 <= window.start <= window.end <= len(text)
    owned = [tuple(span) for window in windows for span in window.spans[window.own].tolist()]
    whole = WIDE[name].windows(text, ALL).windows
    assert owned == [tuple(span) for window in whole for span in window.spans.tolist()]


@pytest.mark.parametrize("name", ENCODERS)
def test_what_stands_where(name: str) -> None:
    text = "\U0001f469\u200d\U0001f4bb e\u0301 \ud800 lovelace"
    [*_, last] = ENCODERS[name].windows(text, ALL).windows
    assert text[: last.end].endswith("lovelace")


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_blank_text_has_no_more_than_its_spaces(name: str, text: str) -> None:
    windows, end = ENCODERS[name].windows(text, ALL)
    assert end == len(text)
    assert len(windows) <= len(text)


def test_special_tokens_in_a_text_are_text() -> None:
    encoder = ENCODERS["word_pieces"]
    [window] = encoder.windows("fool [SEP] idiot", ALL).windows
    separator = word_pieces().token_to_id("[SEP]")
    assert list(window.ids).count(separator) == 1
    assert window.ids[-1] == separator


@pytest.mark.parametrize("most", [1, 2, 7])
def test_no_more_windows_than_wanted(most: int) -> None:
    text = "fool and idiot " * 200
    windows, end = ENCODERS["word_pieces"].windows(text, most)
    assert len(windows) == most
    assert windows[-1].end == end < len(text)


def test_a_megabyte_is_read_no_further_than_needed() -> None:
    text = "fool and idiot " * 70_000
    windows, end = ENCODERS["word_pieces"].windows(text, 20)
    assert end < PIECE_CHARACTERS
    assert len(windows) == 20


def test_pieces_end_between_words() -> None:
    text = "lovelace " * (PIECE_CHARACTERS // 4)
    windows = WIDE["word_pieces"].windows(text, ALL).windows
    spans = [tuple(span) for window in windows for span in window.spans.tolist()]
    assert {text[start:end] for start, end in spans} == {"lovelace"}


def test_a_text_without_spaces_is_cut_all_the_same() -> None:
    text = "a1" * PIECE_CHARACTERS
    windows, end = ENCODERS["byte_pairs"].windows(text, 100_000)
    assert end == len(text) == windows[-1].end


def test_nobody_waits() -> None:
    gone = threading.Event()
    gone.set()
    with pytest.raises(NobodyWaits):
        ENCODERS["word_pieces"].windows("fool", 1, gone)


@pytest.mark.parametrize("document", [b"", b"{}", b"\xff", b"[]", "{"])
def test_what_is_no_tokenizer(document: bytes | str) -> None:
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        Encoder.from_json(document, 16, 4)


def test_windows_must_get_on() -> None:
    with pytest.raises(ConfigError, match="longer than what they share"):
        Encoder(word_pieces(), 16, 14)


def test_a_tokenizer_forgets_how_it_cut_and_padded() -> None:
    tokenizer = word_pieces()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    text = "fool and idiot " * 3
    [window] = Encoder(tokenizer, 32, 4).windows(text, ALL).windows
    assert window.end == len(text.rstrip())
