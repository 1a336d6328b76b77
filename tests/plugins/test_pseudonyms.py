import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.plugins.errors import InvalidArgument, TooLarge
from bartizan.plugins.pseudonyms import MAX_CHARACTERS, TOKEN, Pseudonyms

KEY = bytes(range(32))
VAULT = Pseudonyms(KEY, "project")


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=MAX_CHARACTERS))
def test_what_a_token_stands_for_is_revealed(found: str) -> None:
    token = VAULT.token(found, "pii.email_address")
    assert VAULT.reveal(token) == found
    assert TOKEN.fullmatch(token)
    assert token.startswith("[EMAIL_ADDRESS:v1.")
    assert VAULT.token(found, "pii.email_address") == token


def test_the_largest_has_room() -> None:
    largest = "\U0001f469" * MAX_CHARACTERS
    assert VAULT.reveal(VAULT.token(largest, "pii.x")) == largest
    with pytest.raises(TooLarge):
        VAULT.token(largest + "a", "pii.x")
    with pytest.raises(InvalidArgument):
        VAULT.token("", "pii.x")


def test_tokens_of_one_are_nothing_to_another() -> None:
    token = VAULT.token("jane@example.com", "pii.email_address")
    others = [Pseudonyms(KEY, "other"), Pseudonyms(KEY[::-1], "project")]
    for other in others:
        assert other.token("jane@example.com", "pii.email_address") != token
        with pytest.raises(InvalidArgument):
            other.reveal(token)


@given(st.integers(0, 90), st.sampled_from("ABCXYZ234567"))
def test_a_changed_token_is_refused(place: int, char: str) -> None:
    token = VAULT.token("jane@example.com, of Example", "pii.email_address")
    changed = token[:place] + char + token[place + 1 :]
    if changed != token:
        with pytest.raises(InvalidArgument) as raised:
            VAULT.reveal(changed)
        assert "jane" not in str(raised.value)


@pytest.mark.parametrize("token", ["", "[X]", "[X:v1.]", "[X:v1.A]", "[X:v2.AAAA]", "[X:v1.AA==]"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument):
        VAULT.reveal(token)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(KEY[:31], "project")
