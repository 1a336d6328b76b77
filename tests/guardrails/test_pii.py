import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from bartizan.guardrails.engine.looking import NobodyWaits
from bartizan.guardrails.engine.matches import GaveUp
from bartizan.guardrails.engine.personal_data import PersonalData
from bartizan.guardrails.engine.presidio import supported_entities
from bartizan.guardrails.pii import EntityConfig, Pii, PiiConfig
from bartizan.guardrails.pii_entities import ENTITIES
from bartizan.plugins.chain import build_chain
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.registry import guardrails
from bartizan.plugins.rules import load_rules


def said(data: PersonalData, text: str) -> list[tuple[str, str]]:
    return [(one.entity, text[one.start : one.end]) for one in data.find(text)]


@pytest.mark.parametrize(
    ("text", "entity", "found"),
    [
        ("write to jane.doe@example.com.", "EMAIL_ADDRESS", "jane.doe@example.com"),
        ("a|o'neil+x@example.co.uk|b", "EMAIL_ADDRESS", "o'neil+x@example.co.uk"),
        ("https://h.com/?to=jane@example.com&x", "EMAIL_ADDRESS", "jane@example.com"),
        ("a +1 (415) 555-0132 b", "PHONE_NUMBER", "+1 (415) 555-0132"),
        ("a 415.555.0132 b", "PHONE_NUMBER", "415.555.0132"),
        ("a (415) 555-0132 ext. 12 b", "PHONE_NUMBER", "(415) 555-0132 ext. 12"),
        ("or 07643 969024.", "PHONE_NUMBER", "07643 969024"),
        ("Bureau : 03.93.92.16.85", "PHONE_NUMBER", "03.93.92.16.85"),
        ("a 0494 92 82 32 b", "PHONE_NUMBER", "0494 92 82 32"),
        ("Phone:\n467 3395\n", "PHONE_NUMBER", "467 3395"),
        ('{"homePhone": "9472 7916"}', "PHONE_NUMBER", "9472 7916"),
        ("Call her back on 374 780 163", "PHONE_NUMBER", "374 780 163"),
        ("a 020 7946 0958 b", "PHONE_NUMBER", "020 7946 0958"),
        ("a +49 30 3012643 b", "PHONE_NUMBER", "+49 30 3012643"),
        ('{"phone_number": "4155550132"}', "PHONE_NUMBER", "4155550132"),
        ("a 596-88-3094 b", "US_SSN", "596-88-3094"),
        ("my SSN is 596883094", "US_SSN", "596883094"),
        ("my SSN is 123-45-6789", "US_SSN", "123-45-6789"),
        ("card 4131034282458809939", "CREDIT_CARD", "4131034282458809939"),
        ("my card number: 630427373398", "CREDIT_CARD", "630427373398"),
        ("the credit card 4716 9876 2234 1561", "CREDIT_CARD", "4716 9876 2234 1561"),
        ("a 4111 1111 1111 1111 b", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("a 2221 0000 0000 0009 b", "CREDIT_CARD", "2221 0000 0000 0009"),
        ("a DE89370400440532013000 b", "IBAN_CODE", "DE89370400440532013000"),
        ("from 10.12.13.4 on", "IP_ADDRESS", "10.12.13.4"),
        ("from 2001:db8::8a2e:370:7334 on", "IP_ADDRESS", "2001:db8::8a2e:370:7334"),
        ("a 00:1A:2B:3C:4D:5E b", "MAC_ADDRESS", "00:1A:2B:3C:4D:5E"),
        ("a 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("NHS number 943 476 5919", "UK_NHS", "943 476 5919"),
        ("\U0001f469\u200d\U0001f4bb e\u0301 596-88-3094", "US_SSN", "596-88-3094"),
    ],
)
def test_found(personal_data: PersonalData, text: str, entity: str, found: str) -> None:
    assert said(personal_data, text) == [(entity, found)]


@pytest.mark.parametrize(
    "text",
    [
        "on 2024-10-12 at 13:04:05.123456 or 2024-10-12T13:04:05Z or 10/12/2024",
        "order 9493734882, invoice INV-4029-107306, part no. 432-5972-447",
        "ts 1748221709, 1748221709914, 1748221709914123, 1601765228632064866",
        "cost: 0.66092368, lat -11.3614210, lon 42.1532527, tokens: 133297",
        "trace fe525c7e7292b62b453f6acc2262ac11 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "version 1.2.3, std::add(a), x[::2], commit 4f6e92d3bc98b0e6d69d3f9b32bfdc798095849c",
        "git clone git@github.com:org/repo.git",
        "0x7653d6774151 1920x1080 CVE-2026-15239",
        "a 123-45-6789 b, a 912-00-1234 b, 987654320",
        "4716 9876 2234 1561, 4131034282458809939, 630427373398, 1748221709914123",
        "call me on 2024-10-12 or at 10/12/24, messages to 12 345 678",
        "my iphone 4155550132, microphone 4673395, phone.\norder #4348520939",
    ],
)
def test_not_found(personal_data: PersonalData, text: str) -> None:
    assert said(personal_data, text) == []


def test_the_table_holds_what_presidio_can_find() -> None:
    assert set(ENTITIES) == supported_entities()


async def check(config: PiiConfig, *values: str) -> Sequence[Sequence[Finding]]:
    guardrail = Pii(config)
    found = await guardrail.check([Text(Role.USER, value) for value in values])
    await guardrail.aclose()
    return found


async def test_findings_name_category_and_code() -> None:
    [[found]] = await check(PiiConfig(), "jane@example.com")
    assert found == Finding("pii.email_address", 1.0, 0, 16, "PII_EMAIL_ADDRESS")


async def test_entities_are_switched_and_thresholds_set() -> None:
    off = PiiConfig(entities={"EMAIL_ADDRESS": EntityConfig(enabled=False)})
    assert await check(off, "jane@example.com") == [()]
    high = PiiConfig(entities={"US_SSN": EntityConfig(threshold=0.8)})
    assert [len(found) for found in await check(high, "a 596-88-3094", "ssn 596-88-3094")] == [0, 1]
    on = PiiConfig(entities={"UUID": EntityConfig(enabled=True)})
    [[found]] = await check(on, "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
    assert found.category == "pii.uuid"


async def test_large_calls_give_the_same_answers_as_small_ones() -> None:
    values = [f"{'text ' * 200} u{place}@example.com" for place in range(400)]
    together = await check(PiiConfig(), *values)
    assert [len(found) for found in together] == [1] * 400
    assert together[7] == (await check(PiiConfig(), values[7]))[0]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"entities": {"EMAIL_ADRESS": {}}}, "did you mean 'EMAIL_ADDRESS'"),
        ({"entities": {"US_SSN": {"thresholdd": 1}}}, "did you mean 'threshold'"),
        ({"phone_regions": ["usa"]}, "two capital letters"),
        ({"phone_regions": ["XX"]}, "no telephone numbers of 'XX' are known"),
    ],
)
def test_a_wrong_configuration_is_refused(document: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(PiiConfig, document, "rules.yaml")
    assert said in caught.value.message


async def test_a_rule_redacts() -> None:
    rules = load_rules(
        "rules: [{id: pii, plugin: pii, action: redact, redaction_by_category: {pii.us_ssn: drop}}]"
    )
    chain = build_chain(rules, guardrails(), hash_key=b"k" * 16)
    await chain.start()
    judged = await chain.judge(
        [Text(Role.USER, "jane@example.com, ssn 596-88-3094."), Text(Role.USER, "fine")]
    )
    assert judged.replacements == {0: "[EMAIL_ADDRESS], ssn ."}
    await chain.aclose()


def test_a_recognizer_that_gives_up_is_an_error_and_what_it_found_is_not_logged(
    personal_data: PersonalData, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("presidio-analyzer")
    with pytest.raises(GaveUp):
        logger.warning("Regex pattern '%s' timed out after %s seconds, skipping.", "x", 1)
    logger.error("Failed to validate text %s", "DE89370400440532013000")
    assert "DE89" not in caplog.text


def test_importing_the_guardrail_does_not_import_presidio() -> None:
    code = "import sys, bartizan.guardrails.pii; sys.exit('presidio_analyzer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_loop_is_not_held_by_a_large_text() -> None:
    guardrail = Pii(PiiConfig())
    await guardrail.start()
    large = "\n".join(f"415-555-{place % 10_000:04d}" for place in range(4_000))
    call = asyncio.create_task(guardrail.check([Text(Role.USER, large)]))
    turns = 0
    while not call.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    await guardrail.aclose()


async def test_a_small_text_does_not_wait_for_a_large_one() -> None:
    guardrail = Pii(PiiConfig())
    await guardrail.start()
    large = asyncio.create_task(guardrail.check([Text(Role.USER, "596-88-3094 " * 40_000)]))
    await asyncio.sleep(0)
    small = asyncio.create_task(guardrail.check([Text(Role.USER, "a 596-88-3094 b\n" * 200)]))
    done, _ = await asyncio.wait({large, small}, return_when=asyncio.FIRST_COMPLETED)
    assert done == {small}
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    assert len((await guardrail.check([Text(Role.USER, "b\n" * 50_000 + "a@b.com")]))[0]) == 1
    await guardrail.aclose()


def test_a_text_nobody_waits_for_is_left(personal_data: PersonalData) -> None:
    gone = threading.Event()
    gone.set()
    for text in ("a@b.co", "020 7946 0958"):
        with pytest.raises(NobodyWaits):
            personal_data.find(text, gone)
