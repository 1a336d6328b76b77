import asyncio
import random
import threading
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.guardrails.secret_texts import ALNUM, BASE64, HEX, texts

from bartizan.guardrails.engine.looking import NobodyWaits
from bartizan.guardrails.engine.secret_scan import SecretScan
from bartizan.guardrails.secrets import Secrets
from bartizan.guardrails.secrets_config import SecretsConfig
from bartizan.guardrails.secrets_detectors import CATEGORIES, DETECTORS, FORMATS
from bartizan.guardrails.secrets_found import Basis, Found, most_telling
from bartizan.plugins.contract import Role, Text

DOCS = Path(__file__).parents[2] / "docs" / "guardrails" / "secrets.md"


@pytest.fixture(scope="module")
def secret_scan() -> SecretScan:
    return SecretScan(DETECTORS)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=5))
@example(["\0AKIANARUS6UF3CIND6OT", "x", "\ud800 password: hunter2"])
def test_the_scan_never_changes_the_answer(secret_scan: SecretScan, values: list[str]) -> None:
    candidates = set(secret_scan.candidates(values))
    for index, value in enumerate(values):
        thorough = secret_scan.find_thoroughly(value)
        assert secret_scan.find(value) == thorough
        assert index in candidates or not thorough


@settings(max_examples=300, deadline=None)
@given(texts)
def test_findings_are_in_order_inside_the_text_and_apart(
    secret_scan: SecretScan, value: str
) -> None:
    end = 0
    for one in secret_scan.find(value):
        assert end <= one.start < one.end <= len(value)
        assert 0 < one.score <= 1
        assert one.category in CATEGORIES
        end = one.end


@given(st.text("\u00e9\U0001f600a \ud800", max_size=9), st.text("\u00e9\U0001f600 ", max_size=5))
def test_offsets_are_code_points(secret_scan: SecretScan, before: str, after: str) -> None:
    secret = "glsa_ThisI5NtTheTok3nYou8reLo0k1ngF0r_0a2a3df7"
    [one] = secret_scan.find(f"{before} {secret}{after} {secret[:9]}")
    assert (one.start, one.end) == (len(before) + 1, len(before) + 1 + len(secret))


def test_most_telling() -> None:
    wide = Found("token", 0, 9, 0.9, Basis.NAME)
    inside = Found("jwt", 2, 5, 0.5, Basis.FORMAT)
    apart = Found("password", 9, 12, 0.6, Basis.WORDING)
    assert most_telling([apart, wide, inside]) == [inside, apart]
    assert most_telling([]) == []


ADVERSE = (
    "ghp_", "eyJ", "eyJhbGci-", "key=", "password: ", '"token":"', "-----", "://a:", "://aaa:bbb@",
    "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----" + "\\n" * 30, "bearer ", "a",
    "pypi-AgEIcHlwaS5vcmc", "xoxb-1", '"d":"', "login a password ", "Password=a;", "A", "\\", "=",
    "\u00e9 pwd=\u00fc", 'secret="a1B2c3D4e5F6g7H8i9"\n', " --token ", "token=\\\\\\\\", "sk-",
    "1//0aaaaaaaaaaaaaaaa", "password" + " " * 8, "user=a password=b ", "token" + "\t" * 9,
    "SG." + "a" * 20,
)  # fmt: skip


@pytest.mark.parametrize("piece", ADVERSE)
def test_the_time_grows_with_the_text_and_not_faster(secret_scan: SecretScan, piece: str) -> None:
    small, large = (piece * (size // len(piece)) for size in (8_000, 64_000))
    secret_scan.find(small)
    # Eight times the text: sixty-four times the work, if each place looked at all of it.
    assert spent(secret_scan, large) < 24 * spent(secret_scan, small) + 0.02


@pytest.mark.parametrize("alphabet", [HEX, BASE64, ALNUM + " \n\"':=@/._-"])
def test_nor_on_random_letters(secret_scan: SecretScan, alphabet: str) -> None:
    rng = random.Random(3)
    small, large = ("".join(rng.choices(alphabet, k=size)) for size in (16_000, 128_000))
    assert spent(secret_scan, large) < 24 * spent(secret_scan, small) + 0.02


def spent(scan: SecretScan, text: str) -> float:
    """Returns the least processor time of three tries: what else runs here does not count."""

    def once() -> float:
        before = time.process_time()
        scan.find(text)
        return time.process_time() - before

    return min(once() for _ in range(3))


def test_a_megabyte_of_heads_is_borne(secret_scan: SecretScan) -> None:
    heads = " ".join(ADVERSE)
    secret_scan.find(heads * (1_000_000 // len(heads)))


async def test_the_loop_is_not_held_by_a_large_text() -> None:
    guardrail = Secrets(SecretsConfig())
    await guardrail.start()
    large = "\n".join(f"password: hunter{place}!" for place in range(4_000))
    call = asyncio.create_task(guardrail.check([Text(Role.USER, large)]))
    turns = 0
    while not call.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    await guardrail.aclose()


def test_a_text_nobody_waits_for_is_left(secret_scan: SecretScan) -> None:
    gone = threading.Event()
    gone.set()
    with pytest.raises(NobodyWaits):
        secret_scan.find("password: hunter2", gone)


def test_there_are_many_formats_and_the_documentation_names_each() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert len(FORMATS) >= 60
    assert not [name for name in CATEGORIES if f"`{name}`" not in page]


def test_no_head_matches_nothing() -> None:
    assert all(SecretScan([one]).find_thoroughly("") == [] for one in DETECTORS)
