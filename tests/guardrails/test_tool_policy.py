import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, grows_with_the_text, refused
from tests.guardrails.asked import cut as cut_as

from bartizan.guardrails.engine.json_places import places
from bartizan.guardrails.tool_policy.arguments import located
from bartizan.guardrails.tool_policy.config import ToolPolicyConfig
from bartizan.guardrails.tool_policy.guardrail import ToolPolicy
from bartizan.guardrails.tool_policy.paths import Paths
from bartizan.guardrails.tool_policy.sql import Verbs
from bartizan.guardrails.tool_policy.tools import Tools
from bartizan.plugins.contract import Guardrail, Role, Text, ToolUse
from bartizan.plugins.testing import GuardrailConformance


def policy(*rules: Mapping[str, object], **config: object) -> ToolPolicy:
    return ToolPolicy(ToolPolicyConfig.model_validate({"rules": rules, **config}))


def cut(guardrail: Guardrail, value: object) -> list[tuple[str, str]]:
    text = value if isinstance(value, str) else json.dumps(value)
    return cut_as(guardrail, text, Role.TOOL_CALL)


def codes(rule: Mapping[str, object], document: object) -> list[str]:
    text = json.dumps(document)
    return [one.code for one in asked(policy({"id": "r", **rule}), text, Role.TOOL_CALL)]


class TestToolPolicy(GuardrailConformance):
    def make(self) -> Guardrail:
        return policy({"id": "planted", "deny": ["planted"]})

    async def test_only_calls_are_looked_at(self) -> None:
        texts = [Text(role, '{"a": "planted"}') for role in Role]
        found = await self.make().check(texts)
        assert [role for role, findings in zip(Role, found, strict=True) if findings] == [
            Role.TOOL_CALL
        ]


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("a", []),
        ("b.c", ["x1"]),
        ("b.*", ["x1", "x2"]),
        ("d.*.e", ["x3", "x4"]),
        ("**.e", ["x3", "x4"]),
        ("**", ["x0", "x1", "x2", "x3", "x4"]),
        ("*", ["x0"]),
        ("f.g", ['{\\"g\\": \\"x9\\"}']),
    ],
)
def test_arguments_are_named_by_their_path(argument: str, found: list[str]) -> None:
    text = (
        '{"a": 1, "h": "x0", "b": {"c": "x1", "z": "x2"}, "d": [{"e": "x3"}, {"e": "x4"}],'
        ' "f": "{\\"g\\": \\"x9\\"}"}'
    )
    rule = {"id": "r", "argument": argument, "deny": [r"^x\d"]}
    assert sorted(value for _, value in cut(policy(rule), text) if "x9" not in value) == sorted(
        one for one in found if "x9" not in one
    )
    assert any("x9" in value for _, value in cut(policy(rule), text)) == (argument in ("**", "f.g"))


def test_names_with_dots_and_signs_are_names() -> None:
    assert codes({"argument": "a*b.c", "deny": ["x"]}, {"a*b": {"c": "x"}}) == ["ARGUMENT_DENIED"]
    assert codes({"argument": "a*b.c", "deny": ["x"]}, {"aab": {"c": "x"}}) == []


@pytest.mark.parametrize(
    ("rule", "value", "code"),
    [
        ({"deny": ["(?i)secret"]}, "a SECRET", "ARGUMENT_DENIED"),
        ({"deny": ["^-"]}, -5, "ARGUMENT_DENIED"),
        ({"deny": ["true"]}, True, "ARGUMENT_DENIED"),
        ({"allow": ["r", 1, None]}, "r", None),
        ({"allow": ["r", 1, None]}, 1.0, None),
        ({"allow": ["r", 1, None]}, None, None),
        ({"allow": ["r", 1]}, True, "VALUE_NOT_ALLOWED"),
        ({"allow": ["r", 1]}, "w", "VALUE_NOT_ALLOWED"),
        ({"allow": ["r"]}, ["r"], "VALUE_NOT_ALLOWED"),
        ({"allow": ["r"]}, {"r": 1}, "VALUE_NOT_ALLOWED"),
        ({"allow_patterns": ["[a-z]+@corp.example"]}, "a@corp.example", None),
        ({"allow_patterns": ["[a-z]+@corp.example"]}, "a@corp.example.evil", "VALUE_NOT_ALLOWED"),
        ({"min": 0, "max": 10}, 10, None),
        ({"min": 0, "max": 10}, "7", None),
        ({"min": 0, "max": 10}, 10.1, "NUMBER_TOO_LARGE"),
        ({"min": 0, "max": 10}, "-1", "NUMBER_TOO_SMALL"),
        ({"min": 0, "max": 10}, "nan", "NUMBER_TOO_SMALL"),
        ({"max": 10}, "many", "NOT_A_NUMBER"),
        ({"max": 10}, True, "NOT_A_NUMBER"),
        ({"max": 10}, [1], "VALUE_NOT_ALLOWED"),
        ({"max": 10}, 10**400, "NOT_A_NUMBER"),
        ({"forbidden_sql": ["DROP"]}, "select 1; drop table x", "SQL_FORBIDDEN"),
        ({"forbidden_paths": ["/etc/**"]}, "cat /etc/passwd", "PATH_FORBIDDEN"),
        ({"allowed_paths": ["/work/**"]}, "/work/a/b.txt", None),
        ({"allowed_paths": ["/work/**"]}, "/work/../etc/x", "PATH_NOT_ALLOWED"),
        ({"allowed_paths": ["/work/**"]}, ["/work/a"], "VALUE_NOT_ALLOWED"),
    ],
)
def test_what_an_argument_may_be(rule: dict[str, object], value: object, code: str | None) -> None:
    assert codes({"argument": "x", **rule}, {"x": value}) == ([code] if code else [])


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE x",
        "select 1;drop table x",
        "/* a */ DrOp table x",
        "/*!50000 DROP TABLE x */",
        "WITH a AS (DELETE FROM b RETURNING *) SELECT 1",
        "x'; DROP TABLE y; --",
        "'a\\'; DROP TABLE y; --'",
        "-- nothing\nALTER   USER me",
        "DO $$ BEGIN DROP TABLE x; END $$",
        "'unfinished drop ",
        "select 1 # 2; drop table x",
        "select 1--1; drop table x",
    ],
)
def test_verbs(text: str) -> None:
    assert text in Verbs(["DROP", "DELETE", "ALTER USER"])


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'drop table' FROM t",
        'SELECT "drop" FROM t',
        "SELECT t.drop, drop_date, dropped FROM t -- drop",
        "SELECT /* DROP TABLE x */ 1",
        "SELECT replace(a, 'x', 'y') FROM t",
        "ALTER TABLE user",
        "DR/**/OP",
        "",
    ],
)
def test_no_verbs(text: str) -> None:
    assert text not in Verbs(["DROP", "DELETE", "ALTER USER", "REPLACE"])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "/etc", "/etc/", "//etc//passwd", "/var/../etc/x", "../../etc/passwd",
        "/ETC/shadow", "file:///etc/passwd", "/etc%2fpasswd", "%2Fetc%252Fpasswd", "\\etc\\passwd",
        "~/.ssh/id_rsa", "/home/me/.ssh/id_rsa", "/root/.ssh/x", "$HOME/.ssh/x", "~bob/.ssh/x",
        "C:\\Users\\me\\.ssh\\x", "a/b/key.pem", "key.pem", "/x/.env", ".env", "/etc\0/passwd",
    ],
)  # fmt: skip
def test_forbidden_paths(path: str) -> None:
    assert path in Paths(["/etc/**", "~/.ssh/**", "*.pem", "**/.env"])


@pytest.mark.parametrize(
    "path", ["/etcetera", "etc", "/x/etc/y", "pem", "a.env", "/x/.ssh2", "", "."]
)
def test_other_paths(path: str) -> None:
    assert path not in Paths(["/etc/**", "~/.ssh/**", "*.pem", "**/.env"])


def test_arguments_that_cannot_be_read() -> None:
    rule: dict[str, object] = {"id": "files", "forbidden_paths": ["/etc/**"]}
    assert cut(policy(rule), "cat /etc/passwd") == [
        ("tool_policy.unreadable", "cat /etc/passwd"),
        ("tool_policy.files", "cat /etc/passwd"),
    ]
    assert cut(policy(rule, unreadable=False), '{"a": 1') == []
    assert cut(policy(), "[" * 100_000)[0][0] == "tool_policy.unreadable"
    assert cut(policy(), " \n") == []


def test_a_name_that_stands_twice_is_found_and_both_values_are_checked() -> None:
    guardrail = policy({"id": "mode", "argument": "mode", "allow": ["r"]})
    assert cut(guardrail, '{"mode": "w", "mode": "r"}') == [
        ("tool_policy.repeated", '{"mode": "w", "mode": "r"}'),
        ("tool_policy.mode", "w"),
    ]


def test_a_call_that_carries_its_arguments_as_a_string() -> None:
    inner = json.dumps({"query": "drop table x"})
    call = {"function": {"name": "run", "arguments": inner}}
    rule = {"id": "no_drop", "argument": "**.query", "forbidden_sql": ["DROP"]}
    assert cut(policy(rule), call) == [("tool_policy.no_drop", json.dumps(inner)[1:-1])]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_every_value_is_where_it_is_said_to_be(value: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    known = {steps: json.loads(text[start:end]) for steps, start, end in places(text)}

    def check(here: Any, steps: tuple[int, ...]) -> None:
        assert known.pop(steps) == here
        inner = here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()
        for place, item in enumerate(inner):
            check(item, (*steps, place))

    check(value, ())
    assert known == {}
    assert all(0 <= start <= end <= len(text) for start, end in located(text).values())


GUARDRAIL = policy(
    {"id": "sql", "forbidden_sql": ["DROP"], "deny": ["x"]},
    {"id": "files", "forbidden_paths": ["/etc/**", "*.pem"], "argument": "**"},
    {"id": "number", "argument": "*", "max": 3, "allow": ["a", 1]},
)


@settings(max_examples=200, deadline=None)
@given(anything | st.text('{}[]":,\\ 1a', max_size=40) | values.map(json.dumps))
def test_any_text_is_borne(text: str) -> None:
    asked(GUARDRAIL, text, Role.TOOL_CALL)


@pytest.mark.parametrize(
    "piece",
    [
        "'",
        '"',
        "/* ",
        "/*",
        "'\\\\'",
        "'\\'",
        "[a",
        "../",
        "a/",
        "%25",
        "/",
        "drop ",
        "\\",
        "$$",
        "-",
        "[",
        ".",
        '{\\"a\\":',
    ],
)
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    def look(text: str) -> object:
        return asked(GUARDRAIL, json.dumps({"a": text}), Role.TOOL_CALL)

    assert grows_with_the_text(look, piece)


def test_nor_with_the_number_of_arguments() -> None:
    def look(text: str) -> object:
        return asked(GUARDRAIL, f"[{text}1]", Role.TOOL_CALL)

    assert grows_with_the_text(look, '{"x": "x"},')


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"id": "a"}], "'a' must say what the argument may be"),
        ([{"id": "a", "deny": ["(?=x)"]}], "'rules[0].deny': expression 0 is none of RE2"),
        ([{"id": "a", "min": 2, "max": 1}], "'min' is more than 'max'"),
        ([{"id": "a", "max": 1}, {"id": "a", "max": 2}], "two rules have the id 'a'"),
        ([{"id": "a", "max": 1, "argument": "a..b"}], "names parted by dots"),
        ([{"id": "a", "forbidden_sql": ["DROP;"]}], "a verb is a word or two"),
        ([{"id": "a", "forbidden_sql": [" "]}], "a verb is a word or two"),
        ([{"id": "a", "forbidden_paths": [""]}], "pattern 0 is no path"),
        ([{"id": "a", "denny": ["x"]}], "did you mean 'deny'"),
        ([{"id": "A", "max": 1}], "'rules[0].id'"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(given: list[object], said: str) -> None:
    assert said in refused(ToolPolicyConfig, rules=given)


def told(guardrail: Guardrail, tool: str, value: object = ()) -> list[str]:
    arguments = json.dumps(value or {})
    texts = [Text(Role.TOOL_CALL, arguments, ToolUse(tool) if tool else None)]
    [found] = asyncio.run(guardrail.check(texts))
    return [f"{one.category} {one.code}" for one in found]


def test_a_rule_is_about_the_tools_it_names() -> None:
    guardrail = policy({"id": "mode", "tools": ["open", "file_*"], "argument": "m", "allow": ["r"]})
    broken = ["tool_policy.mode VALUE_NOT_ALLOWED"]
    assert told(guardrail, "open", {"m": "w"}) == told(guardrail, "file_x", {"m": "w"}) == broken
    assert told(guardrail, "opener", {"m": "w"}) == told(guardrail, "profile_x", {"m": "w"}) == []
    # Which tool it is nobody knows: the rule applies rather than not.
    assert told(guardrail, "", {"m": "w"}) == broken
    called = {"function": {"name": "other", "arguments": {"m": "w"}}}
    everywhere = policy({"id": "mode", "tools": ["open"], "argument": "**.m", "allow": ["r"]})
    assert told(everywhere, "", called) == []
    called["function"]["name"] = "open"
    assert told(everywhere, "", called) == broken


def test_tools_that_may_be_called() -> None:
    guardrail = policy(allowed_tools=["search", "get_*"], denied_tools=["get_secret"])
    assert told(guardrail, "search") == told(guardrail, "get_order") == []
    assert told(guardrail, "get_secret") == ["tool_policy.tool TOOL_DENIED"]
    assert told(guardrail, "delete") == ["tool_policy.tool TOOL_NOT_ALLOWED"]
    assert told(guardrail, "") == ["tool_policy.tool TOOL_NOT_NAMED"]
    assert told(policy(denied_tools=["rm"]), "") == []


def test_the_same_arguments_of_two_tools_are_two_calls() -> None:
    texts = [Text(Role.TOOL_CALL, '{"a": 1}', ToolUse(tool)) for tool in ("rm", "ls", "rm")]
    found = asyncio.run(policy(denied_tools=["rm"]).check(texts))
    assert [len(one) for one in found] == [1, 0, 1]
    assert (found[0][0].start, found[0][0].end) == (0, 8)


def test_a_call_that_is_no_json_or_empty_is_one_of_its_tool_too() -> None:
    texts = [Text(Role.TOOL_CALL, value, ToolUse("r\0m")) for value in ("", " ", "-rf /", "\0")]
    found = asyncio.run(policy(denied_tools=["rm"], unreadable=False).check(texts))
    assert [[one.code for one in some] for some in found] == [["TOOL_DENIED"]] * 4


@settings(max_examples=200, deadline=None)
@given(anything, anything)
def test_any_tool_is_borne(name: str, other: str) -> None:
    told(policy({"id": "r", "tools": ["x"], "deny": ["y"]}, denied_tools=["z"]), name)
    if name and "*" not in name:
        assert name in Tools([name])
    assert name in Tools(["*"])
    assert f"{name}{other}" in Tools([f"{name.replace('*', '')}*"]) or "*" in name
