"""Measured on labelled texts, where a checkout has them beside it."""

import gzip
import json
from pathlib import Path

import pytest

from bartizan.guardrails.engine.personal_data import PersonalData

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "guardrails" / "pii.jsonl.gz"
LABELS = {
    "EMAIL": 0.99, "PHONE": 0.99, "SSN": 0.99, "CREDIT_CARD": 0.99, "IBAN": 0.99, "IP": 0.99,
}  # fmt: skip
"""The least share that has to be found of each."""

MAX_FALSE_ALARMS = 0.005

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason=f"{CORPUS} is not there")


def rows() -> list[tuple[str, list[tuple[int, int, str]]]]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return [(one["text"], [tuple(span) for span in one["spans"]]) for one in documents]


def test_the_prefilter_changes_nothing(personal_data: PersonalData) -> None:
    values = [text for text, _ in rows()[::3]]
    candidates = set(personal_data.candidates(values))
    for index, value in enumerate(values):
        thorough = personal_data.find_thoroughly(value)
        assert personal_data.find(value) == thorough
        assert index in candidates or not thorough


def test_most_is_found_and_little_else(personal_data: PersonalData) -> None:
    wanted = dict.fromkeys(LABELS, 0)
    found = dict.fromkeys(LABELS, 0)
    alarms = total = 0
    for text, spans in rows():
        findings = personal_data.find(text)
        total += len(findings)
        for start, end, label in spans:
            if label in LABELS:
                wanted[label] += 1
                found[label] += any(one.start < end and start < one.end for one in findings)
        alarms += sum(
            not any(one.start < end and start < one.end for start, end, _ in spans)
            for one in findings
        )
    for label, least in LABELS.items():
        assert found[label] >= least * wanted[label], label
    assert alarms <= MAX_FALSE_ALARMS * total
