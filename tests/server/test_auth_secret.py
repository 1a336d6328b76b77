import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.server.auth_secret import digest_of, new_key_id, new_secret
from bartizan.server.rpc.names import check_id

FORM = re.compile(r"bz_[0-9A-Za-z]{43}")


@given(st.binary(min_size=32, max_size=32))
def test_every_secret_has_the_form_and_is_known_by_its_hash(random: bytes) -> None:
    secret = new_secret(lambda _: random)
    assert FORM.fullmatch(secret.text)
    assert secret.sha256 == hashlib.sha256(secret.text.encode()).digest()
    assert digest_of(secret.text) == secret.sha256
    assert secret.prefix == secret.text[:10]


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_no_two_randoms_make_one_secret(one: bytes, other: bytes) -> None:
    same = new_secret(lambda _: one).text == new_secret(lambda _: other).text
    assert same == (one == other)


def test_the_smallest_and_the_largest_secret() -> None:
    assert new_secret(bytes).text == "bz_" + "0" * 43
    assert len(new_secret(lambda n: b"\xff" * n).text) == 46


def test_a_secret_is_not_in_its_repr() -> None:
    secret = new_secret(lambda n: b"\x07" * n)
    assert secret.text not in repr(secret)
    assert secret.sha256.hex() not in repr(secret)


@given(st.binary(min_size=10, max_size=10))
def test_every_key_id_is_a_valid_id(random: bytes) -> None:
    assert check_id(new_key_id(lambda _: random), "name")


@given(st.text())
def test_what_has_another_form_is_no_key(text: str) -> None:
    assert digest_of(text) is None or FORM.fullmatch(text)


@pytest.mark.parametrize(
    "text",
    ["", "bz_", "bz_" + "a" * 42, "bz_" + "a" * 44, "bz_" + "é" * 43, "bz_" + "a" * 43 + "\n"],
)
def test_near_misses_are_no_keys(text: str) -> None:
    assert digest_of(text) is None
