"""Between the messages of rules and what the server keeps of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from bartizan.plugins.rules import Rule
from bartizan.server.rpc.call import Principal
from bartizan.server.rules.documents import StoredRule
from bartizan.server.rules.keeping import Change
from bartizan.v1 import guardrail_pb2

PROJECT = guardrail_pb2.RULE_ORIGIN_PROJECT
SERVER = guardrail_pb2.RULE_ORIGIN_SERVER
MAX_EXACT = 2**53
"""Up to here a floating-point number tells every integer from the next."""


def rule_name(principal: Principal, rule_id: str) -> str:
    """Returns the name of a rule in the caller's project."""
    return f"{principal.project_name}/guardrailRules/{rule_id}"


def document(message: Struct) -> dict[str, Any]:
    """Returns a document; numbers without a fraction are integers, as they are in YAML."""
    return {key: _plain(value) for key, value in message.fields.items()}


def own(principal: Principal, stored: StoredRule, problem: str = "") -> guardrail_pb2.GuardrailRule:
    """Returns a rule of the project's own."""
    return guardrail_pb2.GuardrailRule(
        name=rule_name(principal, stored.id),
        document=_struct(stored.document or {}),
        version=stored.version,
        paused=stored.paused,
        origin=PROJECT,
        author=stored.author,
        update_time=_time(stored.create_time),
        etag=etag(stored),
        problem=problem,
        deleted=stored.document is None,
    )


def house(principal: Principal, rule: Rule, problem: str = "") -> guardrail_pb2.GuardrailRule:
    """Returns a rule of the server's file."""
    return guardrail_pb2.GuardrailRule(
        name=rule_name(principal, rule.id),
        document=_struct(rule.document),
        version=rule.version,
        origin=SERVER,
        problem=problem,
    )


def etag(stored: StoredRule) -> str:
    """Returns what changes with every change to a rule; nothing for one that is not written."""
    return f"r{stored.revision}" if stored.revision else ""


def change(
    principal: Principal, one: Change, house_rules: Mapping[str, Rule]
) -> guardrail_pb2.RuleChange:
    """Returns what becomes of a rule. What was there before may be the server's."""
    before = None
    if one.before is not None:
        before = own(principal, one.before)
    elif one.id in house_rules:
        before = house(principal, house_rules[one.id])
    return guardrail_pb2.RuleChange(
        kind=_kind(one),
        before=before,
        after=None if one.after is None else own(principal, one.after),
        warnings=one.warnings,
    )


def _kind(one: Change) -> "guardrail_pb2.RuleChangeKind.ValueType":
    if one.after is None:
        return guardrail_pb2.RULE_CHANGE_KIND_DELETED
    if one.before is None:
        return guardrail_pb2.RULE_CHANGE_KIND_CREATED
    if one.changes:
        return guardrail_pb2.RULE_CHANGE_KIND_UPDATED
    return guardrail_pb2.RULE_CHANGE_KIND_UNCHANGED


def _struct(value: Mapping[str, Any]) -> Struct:
    return ParseDict(dict(value), Struct())


def _plain(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return document(value.struct_value)
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            exact = number.is_integer() and abs(number) <= MAX_EXACT
            return int(number) if exact else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
    return None


def _time(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
