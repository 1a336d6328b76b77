"""Each convention, from OTLP JSON to the typed span: one file a case in tests/data/otlp."""

import json
from pathlib import Path
from typing import Any

import pytest

from bartizan.server.ingest import otlp, otlp_json
from bartizan.server.ingest.span import ROLE_NAMES, Message, SpanRecord
from bartizan.v1 import common_pb2

CASES = sorted((Path(__file__).parents[2] / "data" / "otlp").glob("*.json"))
KINDS: dict[int, str] = {
    number: name.removeprefix("SPAN_KIND_") for name, number in common_pb2.SpanKind.items()
}
NOW_NS = 1_790_000_100_000_000_000


def _messages(messages: list[Message]) -> list[list[str]]:
    return [[ROLE_NAMES[m.role], m.content, m.name, m.tool_call_id, m.mime_type] for m in messages]


def _shown(record: SpanRecord) -> dict[str, Any]:
    dims = record.dims._asdict()
    return {
        **record._asdict(),
        **dims,
        "kind": KINDS[record.dims.kind],
        "tokens": list(record[11:16]),
        "cost": list(record[16:20]),
        "input": _messages(record.input),
        "output": _messages(record.output),
        "events": [[event.name, event.attributes] for event in record.events],
        "links": [[k.trace_id.hex(), k.span_id.hex(), k.attributes] for k in record.links],
    }


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_convention_becomes_the_typed_span(path: Path) -> None:
    case = json.loads(path.read_bytes())
    request = otlp_json.parse_json(json.dumps(case["request"]).encode())

    records, indexes, refused = otlp.convert(request, NOW_NS)

    assert (indexes, refused) == ([0], [])
    shown = _shown(records[0])
    assert {key: shown[key] for key in case["expected"]} == case["expected"]
