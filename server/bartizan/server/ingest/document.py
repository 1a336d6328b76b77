"""A span record as a JSON document, for what cannot be kept as a row."""

import json

from bartizan.server.ingest.batch import Prepared
from bartizan.server.ingest.span import ROLE_NAMES


def quarantine_document(span: Prepared) -> str:
    """Returns a redacted span as JSON text that any database takes.

    What the database refused may be any of the texts, so everything beyond ASCII is escaped.
    """
    record = span.record
    document = record._asdict()
    document["trace_id"] = record.trace_id.hex()
    document["span_id"] = record.span_id.hex()
    document["parent_span_id"] = record.parent_span_id.hex()
    document["dims"] = record.dims._asdict()
    for part in ("input", "output"):
        document[part] = [
            {**message._asdict(), "role": ROLE_NAMES[message.role]} for message in document[part]
        ]
    document["events"] = [event._asdict() for event in record.events]
    document["links"] = [
        {**link._asdict(), "trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
        for link in record.links
    ]
    return json.dumps(document)
