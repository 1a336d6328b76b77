"""Measured on labelled texts, where a checkout has them beside it."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bartizan.guardrails.engine.secret_scan import SecretScan
from bartizan.guardrails.secrets_detectors import DETECTORS

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "guardrails"
TRACES = "own_traces_A"
CLEAN = (
    "benign:code-litestar", "benign:code-prefect", "benign:docs-logfire", "benign:docs-prefect",
    "benign:docs-otel-collector", "benign:docs-otel-semconv", "benign:docs-temporal",
    "benign:traces-openinference", "benign:toolbench", "benign:json-temporal-histories",
)  # fmt: skip

MAX_HITS_PER_1000 = 2

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not there")


@pytest.fixture(scope="module")
def secret_scan() -> SecretScan:
    return SecretScan(DETECTORS)


def rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def test_documents_with_secrets_are_found_and_no_others(secret_scan: SecretScan) -> None:
    right = wanted = found = 0
    for row in rows("pii"):
        if row["source"] != TRACES:
            continue
        holds = any(label == "SECRET" for _, _, label in row["spans"])
        hit = bool(secret_scan.find(row["text"]))
        wanted, found, right = wanted + holds, found + hit, right + (holds and hit)
    assert right >= 0.99 * wanted
    assert right >= 0.99 * found


def test_code_documentation_and_traces_are_left_alone(secret_scan: SecretScan) -> None:
    texts = [row["text"] for row in rows("injection") if row["source"] in CLEAN]
    hits = sum(bool(secret_scan.find(text)) for text in texts)
    assert hits <= MAX_HITS_PER_1000 * len(texts) / 1_000
