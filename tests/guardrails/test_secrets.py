import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.secret_texts import AROUND, FORMATS, NEAR_MISSES, near_miss, pem

from bartizan.guardrails.engine.secret_scan import SecretScan
from bartizan.guardrails.secrets import Secrets
from bartizan.guardrails.secrets_config import OwnFormat, SecretsConfig
from bartizan.guardrails.secrets_detectors import DETECTORS
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.redact import Span, redact
from bartizan.plugins.rules import Redaction


@pytest.fixture(scope="module")
def secret_scan() -> SecretScan:
    return SecretScan(DETECTORS)


def masked(scan: SecretScan, text: str) -> str:
    spans = [
        Span(one.start, one.end, one.category, one.score, Redaction.MASK) for one in scan.find(text)
    ]
    return redact(text, spans, b"k" * 16)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("d amqp://app:s3cr3tP4ss@db:5432/a?x=1", "d amqp://app:%5BURL_PASSWORD%5D@db:5432/a?x=1"),
        ("mongodb+srv://a:p@ss:w0rd@example.net", "mongodb+srv://a:%5BURL_PASSWORD%5D@example.net"),
        ("Server=a;Uid=sa;Password=letMeIn;", "Server=a;Uid=sa;Password=[CONNECTION_STRING];"),
        ('{"password": "Tr0ub4dor&3"}', '{"password": "[PASSWORD]"}'),
        (r'{"a": "{\"password\": \"Tr0ub4dor&3\"}"}', r'{"a": "{\"password\": \"[PASSWORD]\"}"}'),
        ("password: hunter2\nuser: ada", "password: [PASSWORD]\nuser: ada"),
        ("export DB_PASSWORD=a&b;c(d)9\n", "export DB_PASSWORD=[PASSWORD]\n"),
        ("/?api_key=9fK2mQ7xLp3VtZ8w&page=2", "/?api_key=[API_KEY]&page=2"),
        ("<password>IhqSb1Gg</password>", "<password>[PASSWORD]</password>"),
        ("- name: API_KEY\n  value: 9fK2mQ7xLp3VtZ8w", "- name: API_KEY\n  value: [API_KEY]"),
        ("run --db-password Qw3rty!x --fast", "run --db-password [PASSWORD] --fast"),
        ("curl -u bob:hunter2 https://x.io", "curl -u bob:[PASSWORD] https://x.io"),
        ("my password is 237dg546fs9, thanks", "my password is [PASSWORD], thanks"),
        ("machine a login b password s3cret!", "machine a login b password [PASSWORD]"),
        ("Authorization: Bearer 9fK2mQ7xLp3VtZ8wRb5N", "Authorization: Bearer [TOKEN]"),
        ("authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l", "authorization: Basic [BASIC_AUTH]"),
        ("\\nsk_live_bTnSS9lzWBkPXBxiz0v7wDW4\\n", "\\n[STRIPE_KEY]\\n"),
        ("\x1b[9mnpm_HzIr4RdLINvIX45CzDXxl6L0xYHTSJlgEp12\x1b[0m", "\x1b[9m[NPM_TOKEN]\x1b[0m"),
        ("key=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.", "key=[GITHUB_TOKEN]."),
    ],
)  # fmt: skip
def test_only_the_secret_is_masked(secret_scan: SecretScan, text: str, expected: str) -> None:
    assert masked(secret_scan, text) == expected


def test_of_a_block_only_the_key_is_masked(secret_scan: SecretScan) -> None:
    block = pem(random.Random(1))
    first, *_, last = block.splitlines()
    assert masked(secret_scan, block) == f"{first}\n[PRIVATE_KEY]\n{last}\n"
    assert json.loads(masked(secret_scan, json.dumps({"k": block}))) == {
        "k": f"{first}\n[PRIVATE_KEY]\n{last}\n"
    }
    cut = block[: len(block) // 2]
    assert json.loads(masked(secret_scan, json.dumps({"k": cut, "n": [1]})))["n"] == [1]


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_found(secret_scan: SecretScan, name: str) -> None:
    rng = random.Random(name)
    texts = [rng.choice(AROUND).format(FORMATS[name](rng)) for _ in range(60)]
    assert sum(bool(secret_scan.find(text)) for text in texts) >= 57


@pytest.mark.parametrize("place", range(len(NEAR_MISSES)))
def test_what_is_no_secret_is_not_found(secret_scan: SecretScan, place: int) -> None:
    rng = random.Random(place)
    chosen = NEAR_MISSES[place]
    for _ in range(20):
        text = chosen if isinstance(chosen, str) else chosen(rng)
        assert secret_scan.find(rng.choice(AROUND[:3]).format(text)) == []


def test_documents_are_told_apart(secret_scan: SecretScan) -> None:
    rng = random.Random(4)
    hits = misses = alarms = 0
    for _ in range(3_000):
        secret = rng.choice(list(FORMATS.values()))(rng)
        parts = [near_miss(rng), rng.choice(AROUND).format(secret), near_miss(rng)]
        found = bool(secret_scan.find("\n".join(parts)))
        hits, misses = hits + found, misses + (not found)
        alarms += bool(secret_scan.find("\n".join(near_miss(rng) for _ in range(3))))
    assert hits >= 0.98 * (hits + misses)
    assert hits >= 0.99 * (hits + alarms)


strings = st.sampled_from(list(FORMATS)).flatmap(
    lambda name: st.integers(0, 9).map(lambda seed: FORMATS[name](random.Random(seed)))
)
documents = st.recursive(
    strings | st.integers() | st.text(max_size=8) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["password", "api_key", "note", "token", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(documents, st.integers(0, 2), st.booleans())
def test_json_stays_json(
    secret_scan: SecretScan, document: object, nested: int, ascii_only: bool
) -> None:
    for _ in range(nested):
        document = {"arguments": json.dumps(document)}
    text = json.dumps(document, ensure_ascii=ascii_only)
    after = json.loads(masked(secret_scan, text))
    assert shape(after) == shape(document)
    for _ in range(nested):
        after = json.loads(after["arguments"])


def shape(document: object) -> object:
    if isinstance(document, dict):
        return {key: shape(value) for key, value in document.items()}
    return [shape(one) for one in document] if isinstance(document, list) else type(document)


async def check(config: SecretsConfig, *values: str) -> Sequence[Sequence[Finding]]:
    guardrail = Secrets(config)
    found = await guardrail.check([Text(Role.TOOL_RESULT, value) for value in values])
    await guardrail.aclose()
    return found


GITHUB = "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"


async def test_findings_say_how_they_were_told() -> None:
    wrong = GITHUB[:-1] + "5"
    found = await check(SecretsConfig(), GITHUB, wrong, "password: hunter2", "plain")
    assert found[0] == [Finding("secret.github_token", 1.0, 0, 40, "SECRET_BY_CHECKSUM")]
    assert [(one.score, one.code) for one in found[1]] == [(0.75, "SECRET_BY_FORMAT")]
    assert [(one.category, one.code) for one in found[2]] == [("secret.password", "SECRET_BY_NAME")]
    assert found[3] == ()


async def test_the_most_telling_of_what_overlaps_is_kept() -> None:
    [[found]] = await check(SecretsConfig(), f"https://x:{GITHUB}@github.com/a token={GITHUB[:0]}")
    assert found.category == "secret.github_token"


async def test_categories_are_chosen() -> None:
    text = f"{GITHUB} password: hunter2"
    [[found]] = await check(SecretsConfig(categories=("password",)), text)
    assert found.category == "secret.password"


async def test_own_formats_and_what_is_allowed() -> None:
    config = SecretsConfig(
        formats=(OwnFormat(name="acme_key", pattern=r"\bacme-[0-9]{4,6}\b"),),
        allow=("hunter2",),
        allow_patterns=("acme-0+",),
    )
    [found] = await check(config, "\u00e9\U0001f600 acme-12345 acme-0000 password: hunter2")
    assert found == [Finding("secret.acme_key", 0.95, 3, 13, "SECRET_BY_OWN")]


async def test_an_own_format_that_matches_much_takes_no_longer_than_the_text() -> None:
    config = SecretsConfig(formats=(OwnFormat(name="odd", pattern=r"(?s)x.*z|x"),))
    [found] = await check(config, "x" * 20_000)
    assert len(found) == 20_000


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"categories": ["passwordd"]}, "did you mean 'password'"),
        ({"formats": [{"name": "a", "pattern": "(?=a)b"}]}, "no expression of RE2"),
        ({"formats": [{"name": "a", "pattern": "a*"}]}, "matches where nothing stands"),
        ({"formats": [{"name": "A b", "pattern": "ab"}]}, "pattern"),
        ({"allow_patterns": ["("]}, "no expression of RE2"),
        ({"alloww": []}, "did you mean 'allow'"),
    ],
)
def test_a_wrong_configuration_is_refused(document: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(SecretsConfig, document, "rules.yaml")
    assert said in caught.value.message


async def test_many_and_large_texts_give_the_same_answers() -> None:
    values = [f"{'text ' * 300} password: hunter{place}!" for place in range(300)]
    together = await check(SecretsConfig(), *values, "x " * 200_000 + GITHUB)
    assert [len(found) for found in together] == [1] * 301
    assert together[7] == (await check(SecretsConfig(), values[7]))[0]
