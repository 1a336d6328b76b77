"""A span as a JSON document, for what cannot be kept as a row."""

import json
from typing import Any

from bartizan.server.ingest.batch import Prepared
from bartizan.server.ingest.encode import payload_texts


def quarantine_document(span: Prepared) -> str:
    """Returns a redacted span as JSON text that any database takes.

    What the database refused may be any of the texts, so everything beyond ASCII is escaped.
    """
    record = span.record
    document: dict[str, Any] = record._asdict()
    for field in ("trace_id", "span_id", "parent_span_id"):
        document[field] = getattr(record, field).hex()
    document["dims"] = record.dims._asdict()
    if span.payload_row is not None:
        texts = payload_texts(span.payload_row)
        document.update((column, json.loads(text)) for column, text in texts.items())
    return json.dumps(document)
