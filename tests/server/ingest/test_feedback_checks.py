"""What feedback must be to be taken in, and what the rules take out of it."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from tests.support.feedback import START_S, make_feedback

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.judgement import Context, Judgement
from bartizan.plugins.redact import WITHHELD
from bartizan.server.ingest import feedback
from bartizan.server.ingest.feedback import MAX_COMMENT, MAX_CORRECTION
from bartizan.v1 import evaluation_pb2, trace_pb2

NOW_NS = (START_S + 1_000) * 1_000_000_000
DAY_S = 86_400
TRACE_ID, SPAN_ID = "ab" * 16, "fe" * 8


class Witness:
    """Rules that say what they are told to, and remember what they were shown."""

    looks_at_context = True

    def __init__(self, replacements: dict[str, str]) -> None:
        self.replacements = replacements
        self.seen: list[Text] = []

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None = None
    ) -> Judgement:
        self.seen += texts
        said = {n: self.replacements.get(text.value) for n, text in enumerate(texts)}
        return Judgement({}, {n: text for n, text in said.items() if text is not None})


def reasons(*items: evaluation_pb2.Feedback) -> list[tuple[int, str, str]]:
    _, refused = feedback.convert(items, NOW_NS)
    prefix = len("REJECT_REASON_")
    return [(r.index, trace_pb2.RejectReason.Name(r.reason)[prefix:], r.field) for r in refused]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"feedback_id": ""}, "MISSING", "feedback_id"),
        ({"feedback_id": "0" * 32}, "MISSING", "feedback_id"),
        ({"feedback_id": "ab" * 15 + " a"}, "MALFORMED", "feedback_id"),
        ({"feedback_id": "ab" * 17}, "MALFORMED", "feedback_id"),
        ({"trace_id": ""}, "MISSING", "trace_id"),
        ({"trace_id": "", "session_id": "s", "span_id": SPAN_ID}, "MISSING", "trace_id"),
        ({"trace_id": "0" * 32}, "MISSING", "trace_id"),
        ({"trace_id": "x" * 32, "session_id": "s"}, "MALFORMED", "trace_id"),
        ({"span_id": "0" * 16}, "MISSING", "span_id"),
        ({"span_id": TRACE_ID}, "MALFORMED", "span_id"),
        ({"rating": -0.001}, "OUT_OF_RANGE", "rating"),
        ({"rating": 100.001}, "OUT_OF_RANGE", "rating"),
        ({"rating": float("nan")}, "MALFORMED", "rating"),
        ({"rating": float("inf")}, "MALFORMED", "rating"),
        ({"label": ""}, "MISSING", "value"),
        ({"label": "x" * 129}, "TOO_LARGE", "label"),
        ({"name": "x" * 129}, "TOO_LARGE", "name"),
        ({"session_id": "x" * 257}, "TOO_LARGE", "session_id"),
        ({"user_id": "x" * 257}, "TOO_LARGE", "user_id"),
        ({"correction": "x" * (MAX_CORRECTION + 1)}, "TOO_LARGE", "correction"),
        ({"comment": "a\0b"}, "BAD_TEXT", "comment"),
        ({"correction": "a\0b"}, "BAD_TEXT", "correction"),
        ({"label": "\0"}, "BAD_TEXT", "label"),
        ({"name": "\0"}, "BAD_TEXT", "name"),
        ({"user_id": "\0"}, "BAD_TEXT", "user_id"),
        ({"session_id": "\0"}, "BAD_TEXT", "session_id"),
        ({"source": 99}, "UNKNOWN_ENUM", "source"),
        ({"create_time": Timestamp(seconds=946_684_799)}, "OUT_OF_RANGE", "create_time"),
        ({"create_time": Timestamp(seconds=2**62)}, "OUT_OF_RANGE", "create_time"),
        (
            {"create_time": Timestamp(seconds=NOW_NS // 10**9 + DAY_S, nanos=1)},
            "OUT_OF_RANGE",
            "create_time",
        ),
    ],
)
def test_a_bad_item_is_refused_by_itself(fields: dict[str, Any], reason: str, field: str) -> None:
    bad = make_feedback(2, **fields)
    good = make_feedback(1), make_feedback(3)
    assert reasons(good[0], bad, good[1]) == [(1, reason, field)]


def test_nothing_said_is_refused() -> None:
    assert reasons(evaluation_pb2.Feedback(feedback_id=TRACE_ID, trace_id=TRACE_ID)) == [
        (0, "MISSING", "value")
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"thumbs_up": False},
        {"rating": 0},
        {"rating": 100},
        {"label": "x" * 128},
        {"comment": "x" * 100_000},
        {"correction": "x" * MAX_CORRECTION},
        {"label": "", "comment": "x"},
        {"trace_id": "", "session_id": "\U0001f9ff" * 256},
        {"create_time": Timestamp(seconds=946_684_800)},
        {"create_time": Timestamp(seconds=NOW_NS // 10**9 + DAY_S)},
    ],
)
def test_what_is_at_its_limit_is_taken(fields: dict[str, Any]) -> None:
    assert reasons(make_feedback(1, **fields)) == []


def test_what_is_left_out_is_filled_in() -> None:
    item = evaluation_pb2.Feedback(feedback_id=TRACE_ID.upper(), session_id="s", rating=50)
    record = feedback.record(item, NOW_NS)
    assert record.feedback_id.hex == TRACE_ID
    assert (record.trace_id, record.span_id, record.thumbs_up) == (None, None, None)
    assert (record.name, record.source) == ("user", evaluation_pb2.FEEDBACK_SOURCE_USER)
    assert record.create_time.timestamp() == NOW_NS / 1e9


@given(st.builds(dict, thumbs_up=st.booleans(), comment=st.text(max_size=5))
       | st.fixed_dictionaries({"rating": st.floats()})
       | st.fixed_dictionaries({"label": st.text(max_size=130), "comment": st.text(max_size=2)}),
       st.text("0af ", max_size=33), st.text("0f", max_size=17), st.text(max_size=3),
       st.integers(-(2**31), 2**31 - 1))  # fmt: skip
def test_anything_is_taken_or_refused_with_its_field(
    value: dict[str, Any], trace_id: str, span_id: str, session_id: str, source: int
) -> None:
    item = make_feedback(
        1, trace_id=trace_id, span_id=span_id, session_id=session_id, source=source, **value
    )
    records, refused = feedback.convert([item], NOW_NS)
    assert len(records) + len(refused) == 1
    for one in refused:
        assert one.field == "value" or hasattr(item, one.field)
    for record in records:
        assert record.rating is None or 0 <= record.rating <= 100
        assert record.trace_id is not None or session_id


async def test_every_text_is_judged_in_its_role_and_replaced() -> None:
    item = make_feedback(
        7, label="label", name="name", session_id="session", user_id="alice", comment="comment",
        correction="correction", trace_id=TRACE_ID,
    )  # fmt: skip
    texts = ("session", "name", "label", "alice", "comment", "correction")
    rules = Witness({text: f"[{text}]" for text in texts})
    records, _ = feedback.convert([make_feedback(1), item], NOW_NS)
    plain, judged = await feedback.judge(rules, records)
    assert plain == records[0]
    assert rules.seen[0] == Text(Role.METADATA, "user")  # the default name of the first item
    assert {text.value: text.role for text in rules.seen[1:]} == {
        **dict.fromkeys(("session", "name", "label", "alice"), Role.METADATA),
        "comment": Role.USER,
        "correction": Role.ASSISTANT,
    }
    assert (judged.session_id, judged.name, judged.label) == ("[session]", "[name]", "[label]")
    assert (judged.user_id, judged.comment) == ("[alice]", "[comment]")
    assert judged.correction == "[correction]"


async def test_what_could_not_be_judged_is_withheld() -> None:
    records, _ = feedback.convert([make_feedback(1, comment="text")], NOW_NS)
    [judged] = await feedback.judge(Witness({"text": WITHHELD}), records)
    assert judged.comment == WITHHELD


async def test_a_long_comment_is_cut_after_it_was_judged() -> None:
    comment = "x" * MAX_COMMENT + "secret"
    records, _ = feedback.convert([make_feedback(1, comment=comment)], NOW_NS)
    rules = Witness({})
    [judged] = await feedback.judge(rules, records)
    assert Text(Role.USER, comment) in rules.seen
    assert judged.comment == "x" * MAX_COMMENT
