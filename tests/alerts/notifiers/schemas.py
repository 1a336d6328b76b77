"""The documented forms of what channels are sent, as JSON schemas, and their limits."""

from typing import Any

import jsonschema

TEXT_OBJECT = {
    "type": "object",
    "required": ["type", "text"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["plain_text", "mrkdwn"]},
        "text": {"type": "string", "minLength": 1, "maxLength": 3000},
        "verbatim": {"type": "boolean"},
        "emoji": {"type": "boolean"},
    },
}
FIELD = {
    **TEXT_OBJECT,
    "properties": {
        **TEXT_OBJECT["properties"],  # type: ignore[dict-item]
        "text": {"type": "string", "minLength": 1, "maxLength": 2000},
    },
}
SECTION = {
    "required": ["type"],
    "additionalProperties": False,
    "anyOf": [{"required": ["text"]}, {"required": ["fields"]}],
    "properties": {
        "type": {"const": "section"},
        "text": TEXT_OBJECT,
        "fields": {"type": "array", "minItems": 1, "maxItems": 10, "items": FIELD},
    },
}
CONTEXT = {
    "required": ["type", "elements"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "context"},
        "elements": {"type": "array", "minItems": 1, "maxItems": 10, "items": TEXT_OBJECT},
    },
}
SLACK = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 4000},
        "channel": {"type": "string", "minLength": 1},
        "ts": {"type": "string", "pattern": r"^\d+\.\d{6}$"},
        "thread_ts": {"type": "string", "pattern": r"^\d+\.\d{6}$"},
        "reply_broadcast": {"type": "boolean"},
        "unfurl_links": {"type": "boolean"},
        "unfurl_media": {"type": "boolean"},
        "attachments": {
            "type": "array",
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["color", "blocks"],
                "additionalProperties": False,
                "properties": {
                    "color": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
                    "blocks": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 50,
                        "items": {"oneOf": [SECTION, CONTEXT]},
                    },
                },
            },
        },
    },
}

NAMED_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
DATE_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
LABEL_NAMES = {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}

WEBHOOK = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels",
        "commonLabels", "commonAnnotations", "externalURL", "notification_reason", "alerts",
    ],
    "properties": {
        "version": {"const": "4"},
        "groupKey": {"type": "string", "minLength": 1},
        "truncatedAlerts": {"type": "integer", "minimum": 0},
        "status": {"enum": ["firing", "resolved"]},
        "receiver": {"type": "string"},
        "groupLabels": NAMED_TEXTS,
        "commonLabels": NAMED_TEXTS,
        "commonAnnotations": NAMED_TEXTS,
        "externalURL": {"type": "string"},
        "notification_reason": {"type": "string"},
        "alerts": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL",
                    "fingerprint",
                ],
                "properties": {
                    "status": {"enum": ["firing", "resolved"]},
                    "labels": NAMED_TEXTS,
                    "annotations": NAMED_TEXTS,
                    "startsAt": DATE_TIME,
                    "endsAt": DATE_TIME,
                    "generatorURL": {"type": "string"},
                    "fingerprint": {"type": "string"},
                },
            },
        },
    },
}  # fmt: skip

ALERTMANAGER = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["labels"],
        "additionalProperties": False,
        "properties": {
            "labels": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": LABEL_NAMES,
                "additionalProperties": {"type": "string", "minLength": 1},
            },
            "annotations": {**NAMED_TEXTS, "propertyNames": LABEL_NAMES},
            "startsAt": DATE_TIME,
            "endsAt": DATE_TIME,
            "generatorURL": {"type": "string", "pattern": "^https?://"},
        },
    },
}

PAGERDUTY = {
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": {"type": "string"},
        "client_url": {"type": "string"},
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href"],
                "additionalProperties": False,
                "properties": {"href": {"pattern": "^https?://"}, "text": {"type": "string"}},
            },
        },
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": DATE_TIME,
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
}

SENTRY_EVENT = {
    "type": "object",
    "required": ["event_id", "timestamp", "platform", "level", "message", "fingerprint"],
    "properties": {
        "event_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "timestamp": DATE_TIME,
        "platform": {"type": "string"},
        "level": {"enum": ["fatal", "error", "warning", "info", "debug"]},
        "message": {"type": "object", "required": ["formatted"]},
        "fingerprint": {"type": "array", "items": {"type": "string"}},
        "tags": {
            "type": "object",
            "propertyNames": {"maxLength": 32},
            "additionalProperties": {"type": "string", "maxLength": 200},
        },
        "extra": {"type": "object"},
    },
}


def complaint(document: Any, schema: dict[str, Any]) -> str:
    """Returns what is wrong with a document, or nothing."""
    error = next(jsonschema.Draft202012Validator(schema).iter_errors(document), None)
    return "" if error is None else f"{error.json_path}: {error.message[:200]}"
