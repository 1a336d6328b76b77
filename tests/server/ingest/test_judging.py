"""The judge shows the rules every text once, and takes over what they say."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from tests.support.spans import make_span

from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.judgement import Context, Judgement, Ruled
from bartizan.plugins.rules import Rule
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.native import NativeConverter
from bartizan.v1 import common_pb2

NOW_NS = 1_790_000_000_000_000_000
BAD = "bad"


class Censor:
    """Replaces every text that holds the word bad, and remembers what it was shown."""

    def __init__(self) -> None:
        self.deferred: list[Rule] = []
        self.looks_at_context = self.looks_at_groups = False
        self.complete = True
        self.shown: list[Text] = []
        self.contexts: Sequence[Context] | None = None
        self.ever: set[str] = set()
        self.late = self.unreported = ""

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None = None
    ) -> Judgement:
        self.shown = list(texts)
        self.ever |= self.values
        self.contexts = contexts
        hits = [index for index, text in enumerate(texts) if BAD in text.value]
        finding = Finding("test.bad", 1.0, 0, 3, "BAD")
        ruled = Ruled(finding, "censor", "v1", Verdict.MODIFY, Action.REDACT, shadow=False)
        return Judgement(
            {index: [ruled] for index in hits},
            dict.fromkeys(hits, "[X]"),
            self.complete,
            deferred={index: [self.late] for index in hits if self.late},
            unreported={index: [self.unreported] for index in hits if self.unreported},
        )

    @property
    def values(self) -> set[str]:
        return {text.value for text in self.shown}


def batch_of(*spans: common_pb2.Span) -> Batch:
    converter = NativeConverter()
    records = [converter.record(span, NOW_NS) for span in spans]
    return Batch(1, records, range(len(records)))


def span_with(**fields: object) -> common_pb2.Span:
    return make_span(random.Random(1), start_ns=NOW_NS, **fields)


def judge(rules: Censor, *batches: Batch) -> Judge:
    under_test = Judge(lambda project_id: rules)
    for batch in batches:
        asyncio.run(under_test.judge(batch))
    return under_test


def test_every_text_of_a_span_is_shown() -> None:
    span = span_with(
        user_id="user", session_id="session", environment="env", machine="machine",
        workspace="workspace", tool_name="tool", error_type="error", provider="provider",
        status_message="status", tags=["tag"],
    )  # fmt: skip
    span.cost.price_table = "prices"
    span.input[0].name = "author"
    span.input[0].tool_call_id = "call"
    span.input[0].mime_type = "mime"
    span.attributes.add(key="key", string_value="value")
    span.attributes.add(key="deep", json_value='{"inner": ["leaf", 4111111111111111, 3]}')
    event = span.events.add(name="event")
    event.attributes.add(key="event-key", string_value="event-value")
    link = span.links.add(trace_id=span.trace_id, span_id=span.span_id)
    link.attributes.add(key="link-key", string_value="link-value")
    rules = Censor()
    judge(rules, batch_of(span))
    assert rules.values == {
        "Where is my order?", "It is on its way.", "chat gpt-4o", "support-bot", "gpt-4o",
        "user", "session", "env", "machine", "workspace", "tool", "error", "provider", "status",
        "tag", "prices", "author", "call", "mime", "key", "value", "deep", "inner", "leaf",
        "4111111111111111", "event", "event-key", "event-value", "link-key", "link-value",
    }  # fmt: skip
    roles = {text.value: text.role for text in rules.shown}
    assert roles["Where is my order?"] is Role.USER
    assert roles["It is on its way."] is Role.ASSISTANT
    assert roles["status"] is Role.METADATA


def test_decisions_and_replacements_reach_their_span() -> None:
    clean, dirty = span_with(), span_with(agent="bad agent")
    dirty.input[0].content = "a bad text"
    dirty.attributes.add(key="bad key", string_value="fine")
    batch = batch_of(clean, dirty)
    judge(Censor(), batch)
    assert list(batch.decisions) == [1]
    fields = {decision.field for decision in batch.decisions[1]}
    assert fields == {"input[0].content", "agent", "attributes[[X]].key"}
    record = batch.records[1]
    assert record.input[0].content == record.dims.agent == "[X]"
    assert record.attributes == {"[X]": "fine"}
    assert batch.records[0].dims.agent == "support-bot"


def test_what_was_clean_is_not_shown_again() -> None:
    rules = Censor()
    again = batch_of(span_with(user_id="u-1", agent="another"))
    judge(rules, batch_of(span_with(user_id="u-1")), again)
    assert rules.values == {"another"}


def test_messages_are_shown_again_if_they_are_judged_together() -> None:
    rules = Censor()
    rules.looks_at_groups = True
    judge(rules, batch_of(span_with()), batch_of(span_with()))
    assert rules.values == {"Where is my order?", "It is on its way."}


@pytest.mark.parametrize(("call_id", "shown"), [("c-1", 1), ("", 2)])
def test_a_call_of_a_tool_is_the_same_only_by_its_id(call_id: str, shown: int) -> None:
    rules = Censor()
    span = span_with()
    del span.input[:], span.output[:]
    span.output.add(
        role=common_pb2.ROLE_TOOL_CALL, content='{"q": 1}', name="find", tool_call_id=call_id
    )
    under_test = Judge(lambda project_id: rules)
    seen = 0
    for _ in range(2):
        rules.shown = []
        asyncio.run(under_test.judge(batch_of(span)))
        seen += sum(text.role is Role.TOOL_CALL for text in rules.shown)
    assert seen == shown


def test_one_message_from_another_is_another() -> None:
    rules = Censor()
    swapped = span_with()
    swapped.input[0].role = common_pb2.ROLE_TOOL_RESULT
    judge(rules, batch_of(span_with()), batch_of(swapped))
    assert "Where is my order?" in rules.values


def test_texts_that_were_found_fault_with_are_shown_again() -> None:
    rules = Censor()
    batch = batch_of(span_with(user_id="bad user", agent="bad agent"))
    judge(rules, batch_of(span_with(user_id="bad user", agent="bad agent")), batch)
    assert batch.records[0].user_id == batch.records[0].dims.agent == "[X]"


def test_nothing_is_remembered_of_a_judgement_that_failed_in_part() -> None:
    rules = Censor()
    rules.complete = False
    judge(rules, batch_of(span_with()), batch_of(span_with()))
    assert "support-bot" in rules.values


def test_new_rules_see_everything_again() -> None:
    old, new = Censor(), Censor()
    in_force = [old]
    under_test = Judge(lambda project_id: in_force[0])
    for rules in (old, new, new):
        in_force[0] = rules
        rules.shown = []
        asyncio.run(under_test.judge(batch_of(span_with())))
    assert "support-bot" in old.values
    assert not new.values
    assert "support-bot" in new.ever


def test_projects_have_rules_of_their_own() -> None:
    rules = {1: Censor(), 2: Censor()}
    under_test = Judge(rules.__getitem__)
    first, second = batch_of(span_with()), batch_of(span_with())
    second.project_id = 2
    for batch in (first, second):
        asyncio.run(under_test.judge(batch))
    assert "support-bot" in rules[1].values & rules[2].values


def test_spans_are_marked_for_deferred_rules() -> None:
    rules = Censor()
    rules.deferred = [
        Rule(id="all", plugin="p", stage="deferred"),
        Rule(id="second", plugin="p", stage="deferred", after=("censor",)),
        Rule(id="others", plugin="p", stage="deferred", where={"agents": ["other-*"]}),
        Rule(id="none", plugin="p", stage="deferred", sample=1e-9),
    ]
    batch = batch_of(span_with(), span_with(user_id="bad user"))
    judge(rules, batch)
    assert batch.deferred == {0: {"all"}, 1: {"all", "second"}}


def test_what_is_not_reported_still_asks_for_a_second_look() -> None:
    rules = Censor()
    rules.deferred = [Rule(id="second", plugin="p", stage="deferred", after=("first",))]
    rules.unreported = "first"
    batch = batch_of(span_with(), span_with(user_id="bad user"))
    judge(rules, batch)
    assert batch.deferred == {1: {"second"}}


def test_spans_that_have_no_room_are_not_marked() -> None:
    rules = Censor()
    rules.deferred = [Rule(id="all", plugin="p", stage="deferred")]
    batch = batch_of(span_with(), span_with())
    under_test = Judge(lambda project_id: rules, lambda spans: spans < 2)
    asyncio.run(under_test.judge(batch))
    assert batch.deferred == {}


def test_what_a_rule_had_no_time_for_is_marked() -> None:
    rules = Censor()
    rules.late = "slow"
    batch = batch_of(span_with(), span_with(user_id="bad user"))
    judge(rules, batch)
    assert batch.deferred == {1: {"slow"}}


def test_rules_that_ask_where_are_told() -> None:
    rules = Censor()
    rules.looks_at_context = True
    judge(rules, batch_of(span_with()), batch_of(span_with(agent="other")))
    assert rules.contexts is not None
    assert {context.agent for context in rules.contexts} == {"other"}
    assert len(rules.contexts) == len(rules.shown)
    assert "gpt-4o" in rules.values
