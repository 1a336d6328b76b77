"""Page tokens keep their position, their query, and their secret."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.plugins.errors import InvalidArgument
from bartizan.server.store.paging import PageTokens, page_size

TOKENS = PageTokens(b"key")
texts = st.text(st.characters(codec="utf-8"), max_size=256)
positions = st.lists(texts, max_size=3)


@given(texts, positions)
def test_a_token_brings_back_its_position(query: str, position: list[str]) -> None:
    token = TOKENS.seal(query, position)
    assert TOKENS.open(query, token) == position


@given(texts, texts, positions)
def test_a_token_is_for_one_query_and_one_key(query: str, other: str, position: list[str]) -> None:
    token = TOKENS.seal(query, position)
    with pytest.raises(InvalidArgument):
        PageTokens(b"other").open(query, token)
    if other != query:
        with pytest.raises(InvalidArgument):
            TOKENS.open(other, token)


@given(positions, st.data())
def test_a_changed_token_is_refused(position: list[str], data: st.DataObject) -> None:
    token = TOKENS.seal("q", position)
    raw = bytearray(base64.urlsafe_b64decode(token + "=="))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidArgument):
        TOKENS.open("q", base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        TOKENS.open("q", token)
    assert (refused.value.reason, refused.value.field) == ("BAD_PAGE_TOKEN", "page_token")


def test_a_token_has_one_spelling() -> None:
    token = TOKENS.seal("q", ["p"])
    for spelling in (f"{token}=", f"{token[:3]}\n{token[3:]}", f" {token}", f"{token}!"):
        with pytest.raises(InvalidArgument):
            TOKENS.open("q", spelling)


def test_a_token_of_the_longest_id_is_not_too_long() -> None:
    position = ["1" * 20, "\x1f" * 256]
    assert TOKENS.open("q", TOKENS.seal("q", position)) == position


def test_page_sizes() -> None:
    assert [page_size(n, 50, 1_000) for n in (0, 1, 1_000, 1_001)] == [50, 1, 1_000, 1_000]
    with pytest.raises(InvalidArgument):
        page_size(-1, 50, 1_000)
