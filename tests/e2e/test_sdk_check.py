"""The SDK asks the real server for verdicts before it acts."""

from collections.abc import Iterator
from random import Random
from string import ascii_letters, digits

import pytest
from tests.support.serving import Serving

from bartizan.client import Bartizan, Checked, Denied, InvalidArgument, Unavailable

RULES = r"""
rules:
  - {id: pii, plugin: pii, action: redact}
  - {id: keys, plugin: secrets, action: block}
"""
MAIL = "Write to ada@example.com, please."
MASKED = "Write to [EMAIL_ADDRESS], please."
SECRET = f"My key is ghp_{''.join(Random(7).choices(ascii_letters + digits, k=36))}."


@pytest.fixture(scope="module")
def bz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bartizan]:
    folder = tmp_path_factory.mktemp("check")
    rules = folder / "rules.yaml"
    rules.write_text(RULES)
    with (
        Serving(folder / "data", ["--rules", str(rules)]) as serving,
        Bartizan(serving.key, serving.grpc, agent="support-bot") as client,
    ):
        yield client


def test_a_text(bz: Bartizan) -> None:
    clean, masked, denied = (bz.check(text) for text in ("Hello.", MAIL, SECRET))
    assert (clean.verdict, clean.text, clean.complete) == ("allow", "Hello.", True)
    assert (masked.verdict, masked.text, masked.allowed) == ("modify", MASKED, True)
    assert (denied.verdict, denied.allowed) == ("deny", False)
    assert [one.category for one in masked.findings[0]] == ["pii.email_address"]
    assert [run.rule for run in clean.rules] == ["pii", "keys"]


def test_messages_and_values(bz: Bartizan) -> None:
    checked = bz.check([{"role": "user", "content": MAIL}, {"role": "tool", "content": "ok"}])
    assert checked.texts == (MASKED, "ok")
    assert bz.check({"mail": "ada@example.com"}).text == '{"mail": "[EMAIL_ADDRESS]"}'
    assert bz.check({"object": object()}).verdict == "allow"
    # A trace keeps the head and tail of such a text; a verdict is about all of it.
    assert "ada@example.com" not in bz.check("x " * 200_000 + MAIL + " y" * 200_000).text


def test_some_rules_only(bz: Bartizan) -> None:
    assert bz.check(SECRET, rules=["pii"]).verdict == "allow"
    with pytest.raises(InvalidArgument):
        bz.check(SECRET, rules=["none"])
    with pytest.raises(InvalidArgument, match="no role 'nobody'"):
        bz.check("x", role="nobody")


async def test_without_blocking_the_loop(bz: Bartizan) -> None:
    assert (await bz.acheck(MAIL)).text == MASKED
    with pytest.raises(InvalidArgument):
        await bz.acheck(MAIL, rules=["none"])


@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
def test_a_stream(bz: Bartizan, size: int) -> None:
    text = f"{MAIL} " * 20
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join(bz.check_stream(chunks)) == f"{MASKED} " * 20


def test_a_stream_that_is_denied(bz: Bartizan) -> None:
    shown: list[str] = []
    with pytest.raises(Denied) as raised:
        shown.extend(bz.check_stream(["Sure. " * 100, SECRET[:20], SECRET[20:]]))
    assert (raised.value.side, raised.value.rules) == ("output", ("keys",))
    assert "ghp_" not in "".join(shown)
    assert "ghp_" not in str(raised.value)


def test_a_guarded_function(bz: Bartizan) -> None:
    seen = []

    @bz.guard
    def answer(question: str, style: str = "short") -> str:
        seen.append(question)
        return SECRET if question == "leak" else f"{style}: bo@example.com"

    assert answer(MAIL) == "short: [EMAIL_ADDRESS]"
    assert seen == [MASKED]
    with pytest.raises(Denied, match="The input was denied by keys") as raised:
        answer(SECRET)
    assert raised.value.categories == ("secret.github_token",)
    with pytest.raises(Denied, match="The output was denied by keys"):
        answer("leak")


async def test_guarded_coroutines_generators_and_methods(bz: Bartizan) -> None:
    class Agent:
        @bz.guard(input="text", output=False)
        async def think(self, number: int, text: str) -> str:
            return text

        @bz.guard
        def speak(self, text: str) -> Iterator[str]:
            yield from text

    assert await Agent().think(1, text=MAIL) == MASKED
    assert "".join(Agent().speak("Hello, bo.")) == "Hello, bo."
    with pytest.raises(TypeError, match="no parameter 'prompt'"):
        bz.guard(input="prompt")(Agent.think)


def test_without_a_server() -> None:
    with Bartizan("key", "127.0.0.1:1") as away:
        with pytest.raises(Unavailable):
            away.check(MAIL)
        assert away.check(MAIL, on_error="allow") == Checked("allow", (MAIL,), complete=False)
        assert not away.check(MAIL, on_error="deny").allowed
