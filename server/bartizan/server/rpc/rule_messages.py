"""Between the messages of rules and what the server keeps of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from bartizan.plugins.rules import Rule
from bartizan.server.rpc.call import Principal
from bartizan.server.rules.documents import StoredRule
from bartizan.server.rules.keeping import Change
from bartizan.v1 import guardrail_pb2

PROJECT = guardrail_pb2.RULE_ORIGIN_PROJECT
SERVER = guardrail_pb2.RULE_ORIGIN_SERVER


def rule_name(principal: Principal, rule_id: str) -> str:
    """Returns the name of a rule in the caller's project."""
    return f"{principal.project_name}/guardrailRules/{rule_id}"


def document(message: Struct) -> Mapping[str, Any]:
    """Returns a document; numbers without a fraction are integers, as they are in YAML."""
    read: Mapping[str, Any] = _integers(MessageToDict(message))
    return read


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


def _integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _integers(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_integers(item) for item in value]
    return value


def _time(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
