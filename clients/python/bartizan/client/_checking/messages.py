"""Requests and answers of GuardrailService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bartizan.client._calls.errors import InvalidArgument
from bartizan.client._checking.checked import Checked
from bartizan.client._recording.encode import ROLE_NUMBERS
from bartizan.client._recording.messages import ROLES, Text, as_json, read_messages
from bartizan.client._recording.values import snapshot
from bartizan.v1 import common_pb2, guardrail_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def role_number(role: str) -> common_pb2.Role.ValueType:
    """Returns the number of a role; raises InvalidArgument."""
    if role not in ROLES:
        raise InvalidArgument(f"There is no role {role!r}.", field="role")
    return ROLE_NUMBERS[ROLES[role]]


def request(
    value: Any, role: str, context: Mapping[str, str], rules: Iterable[str]
) -> guardrail_pb2.CheckRequest:
    """Returns the request for a text, for messages, or for anything that becomes JSON.

    Raises InvalidArgument for a role that does not exist.
    """
    role_number(role)
    try:
        messages = [_message(one) for one in read_messages(value, ROLES[role])]
    except (TypeError, ValueError, RecursionError):
        # Something that has no JSON form. What has one is judged whole: what is cut goes unseen.
        messages = [_message(one) for one in read_messages(snapshot(value), ROLES[role])]
    return guardrail_pb2.CheckRequest(
        messages=messages, context=guardrail_pb2.CheckContext(**context), rules=rules
    )


def _message(read: Text) -> common_pb2.Message:
    content = read.content if isinstance(read.content, str) else as_json(read.content)
    return common_pb2.Message(
        role=ROLE_NUMBERS[read.role],
        content=content.encode("utf-8", "replace").decode(),
        name=read.name,
        tool_call_id=read.tool_call_id,
    )


def answer(sent: Sequence[common_pb2.Message], said: guardrail_pb2.CheckResponse) -> Checked:
    """Returns what an answer says about what was sent."""
    pairs = list(zip(sent, said.messages))
    return Checked(
        verdict_name(said.verdict),
        tuple(
            one.redacted.content if one.HasField("redacted") else asked.content
            for asked, one in pairs
        ),
        tuple(tuple(one.findings) for _, one in pairs),
        tuple(said.rules),
        said.complete,
    )


def verdict_name(verdict: common_pb2.Verdict.ValueType) -> str:
    """Returns allow, modify or deny."""
    return common_pb2.Verdict.Name(verdict)[len("VERDICT_") :].lower()
