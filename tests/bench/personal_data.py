"""Measures how well the guardrail `pii` finds personal data in labelled texts.

Prints tables in Markdown for docs/pii-accuracy.md:

    python -m tests.bench.personal_data FOLDER_OF_DATA > tables.md

A finding is right if a labelled span of the same type has at least half of their common length;
each span counts for one finding. All other findings are wrong, all other spans missed.
"""

import argparse
import gzip
import json
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import phonenumbers
import spacy
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from bartizan.guardrails.engine.personal_data import PersonalData
from bartizan.guardrails.engine.secret_scan import SecretScan
from bartizan.guardrails.pii import PiiConfig
from bartizan.guardrails.secrets_config import SecretsConfig
from bartizan.guardrails.secrets_detectors import detectors

SOURCES = ("own_traces_A", "nannigalaxy_pii", "presidio_research_v2")

TYPES = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "US_SSN": "SSN",
    "CREDIT_CARD": "CREDIT_CARD",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
}
"""What has a form of its own, and what the labels call it."""

BY_FORM = frozenset(TYPES.values())

EXPRESSIONS = {
    "EMAIL": r"[\w.+-]+@[\w-]+\.[\w.-]+",
    "PHONE": r"(?:\+?\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}",
    "SSN": r"\b\d{3}-\d{2}-\d{4}\b",
    "CREDIT_CARD": r"\b(?:\d[ -]?){13,16}\b",
    "IBAN": r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
    "IP": r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
}
"""What people write who need it by noon."""


class Span(NamedTuple):
    """A part of a text, found or labelled."""

    start: int
    end: int
    type: str


class Document(NamedTuple):
    """A labelled text."""

    text: str
    spans: Sequence[Span]
    source: str


Finder = Callable[[str], Iterable[Span]]


class Counts(NamedTuple):
    """Findings that are right, findings that are wrong, spans that were missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: object) -> "Counts":
        assert isinstance(other, Counts)
        return Counts(*(one + more for one, more in zip(tuple(self), tuple(other), strict=True)))

    @property
    def f1(self) -> float:
        """Returns the harmonic mean of precision and recall; 1.0 if there was nothing to find."""
        total = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / total if total else 1.0


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.personal_data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="the folder with pii.jsonl.gz and others")
    chosen = parser.parse_args()
    documents = list(_labelled(chosen.data / "pii.jsonl.gz"))
    finders = {"`pii`": ours(), "presidio alone": presidio(), "expressions": expressions()}
    _print_by_form(documents, finders)
    _print_types(documents, finders["`pii`"])
    _print_all_types(documents, finders)
    _print_alarms(documents, _clean(chosen.data / "injection.jsonl.gz"), finders)
    _print_national(finders)
    return 0


def ours() -> Finder:
    """Returns the guardrail as it is configured by default."""
    config = PiiConfig()
    data = PersonalData(config.thresholds(), config.phone_regions)
    return lambda text: [
        Span(one.start, one.end, TYPES.get(one.entity, one.entity)) for one in data.find(text)
    ]


def presidio() -> Finder:
    """Returns presidio's own recognizers for English, with words but no model for context."""
    registry: Any = RecognizerRegistry()
    registry.load_predefined_recognizers()
    words: Any = SpacyNlpEngine()
    words.nlp = {"en": spacy.blank("en")}
    engine = AnalyzerEngine(registry=registry, nlp_engine=words)
    return lambda text: [
        Span(one.start, one.end, TYPES[one.entity_type])
        for one in engine.analyze(text, language="en", entities=list(TYPES))
    ]


def expressions() -> Finder:
    """Returns plain regular expressions."""
    compiled = {name: re.compile(pattern) for name, pattern in EXPRESSIONS.items()}
    return lambda text: [
        Span(*match.span(), name)
        for name, pattern in compiled.items()
        for match in pattern.finditer(text)
    ]


def secrets() -> Finder:
    """Returns the guardrail `secrets`, whose findings count as SECRET."""
    scan, never = SecretScan(detectors(SecretsConfig().wanted())), threading.Event()
    return lambda text: [Span(one.start, one.end, "SECRET") for one in scan.find(text, never)]


def counted(found: Iterable[Span], wanted: Iterable[Span]) -> Counts:
    """Returns how findings and labels of one text fit together."""
    left = list(wanted)
    right = wrong = 0
    for one in sorted(found):
        match = max(left, key=lambda span: _shared(one, span), default=None)
        if match is not None and _shared(one, match) >= 0.5:
            left.remove(match)
            right += 1
        else:
            wrong += 1
    return Counts(right, wrong, len(left))


def _shared(one: Span, other: Span) -> float:
    if one.type != other.type:
        return 0.0
    inside = min(one.end, other.end) - max(one.start, other.start)
    return max(0, inside) / (max(one.end, other.end) - min(one.start, other.start))


def _total(documents: Iterable[Document], finder: Finder, types: Collection[str]) -> Counts:
    total = Counts()
    for text, spans, _ in documents:
        found = [one for one in finder(text) if one.type in types]
        total += counted(found, [one for one in spans if one.type in types])
    return total


def _print_by_form(documents: Sequence[Document], finders: dict[str, Finder]) -> None:
    print("| F1 of e-mail, phone, SSN, card, IBAN, IP |", " | ".join(finders), "|")
    print("|---|" + "---|" * len(finders))
    for source in SOURCES:
        own = [one for one in documents if one.source == source]
        figures = [f"{_total(own, finder, BY_FORM).f1:.3f}" for finder in finders.values()]
        print(f"| {source} | {' | '.join(figures)} |", flush=True)


def _print_types(documents: Sequence[Document], finder: Finder) -> None:
    print("\n| type | source | right | wrong | missed | F1 |\n|---|---|---|---|---|---|")
    for name in sorted(BY_FORM):
        for source in SOURCES:
            own = [one for one in documents if one.source == source]
            counts = _total(own, finder, {name})
            if any(counts):
                figures = " | ".join(map(str, counts))
                print(f"| {name} | {source} | {figures} | {counts.f1:.3f} |", flush=True)


def _print_all_types(documents: Sequence[Document], finders: dict[str, Finder]) -> None:
    labels = {span.type for one in documents for span in one.spans}
    pii, others = finders["`pii`"], secrets()
    with_secrets: dict[str, Finder] = {
        **finders,
        "`pii` and `secrets`": lambda text: [*pii(text), *others(text)],
    }
    print("\n| F1 of all labels, names and addresses too |", " | ".join(with_secrets), "|")
    print("|---|" + "---|" * len(with_secrets))
    for source in SOURCES:
        own = [one for one in documents if one.source == source]
        figures = [f"{_total(own, finder, labels).f1:.3f}" for finder in with_secrets.values()]
        print(f"| {source} | {' | '.join(figures)} |", flush=True)


def _print_alarms(
    documents: Sequence[Document], clean: Sequence[str], finders: dict[str, Finder]
) -> None:
    near = [one for one in documents if one.source == SOURCES[0] and not one.spans]
    print("\n| |", " | ".join(finders), "|\n|---|" + "---|" * len(finders))
    flagged = [sum(any(finder(one.text)) for one in near) for finder in finders.values()]
    shares = " | ".join(f"{count / len(near):.2%}" for count in flagged)
    print(f"| near-miss documents flagged, of {len(near)} | {shares} |", flush=True)
    hits = [_hits(clean, finder) / len(clean) * 1_000 for finder in finders.values()]
    rates = " | ".join(f"{rate:.2f}" for rate in hits)
    print(f"| phone and card hits per 1,000 of {len(clean)} clean documents | {rates} |")


def _print_national(finders: dict[str, Finder]) -> None:
    """The example numbers of all countries, as they are written at home."""
    print("\n| national telephone numbers found |", " | ".join(finders), "|")
    print("|---|" + "---|" * len(finders))
    numbers = list(_national_numbers())
    for around in ("Phone: {}", "Please call me at {} tomorrow", "Contact {} please"):
        texts = [(around.format(one), around.index("{"), len(one)) for one in numbers]
        found = [
            sum(
                counted(finder(text), [Span(start, start + size, "PHONE")]).right
                for text, start, size in texts
            )
            for finder in finders.values()
        ]
        shares = " | ".join(f"{count / len(numbers):.3f}" for count in found)
        print(f"| `{around}` | {shares} |", flush=True)


def _national_numbers() -> Iterator[str]:
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    for region, kind in product(sorted(phonenumbers.SUPPORTED_REGIONS), kinds):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is not None:
            yield phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)


def _hits(texts: Iterable[str], finder: Finder) -> int:
    return sum(one.type in ("PHONE", "CREDIT_CARD") for text in texts for one in finder(text))


def _labelled(path: Path) -> Iterator[Document]:
    for row in _rows(path):
        yield Document(row["text"], [Span(*span) for span in row["spans"]], row["source"])


def _clean(path: Path) -> Sequence[str]:
    return [row["text"] for row in _rows(path) if row["source"].startswith("benign:")]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    sys.exit(main())
