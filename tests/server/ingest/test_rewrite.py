"""A rewritten record differs where it was asked to, and nowhere else."""

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.support.spans import make_span

from bartizan.server.ingest.native import NativeConverter
from bartizan.server.ingest.rewrite import KEY, describe, rewrite
from bartizan.server.ingest.span import Json, SpanRecord

NOW_NS = 1_790_000_000_000_000_000


def record(attributes: dict[str, Json] | None = None) -> SpanRecord:
    span = make_span(random.Random(1), start_ns=NOW_NS, tags=["a", "b"])
    return NativeConverter().record(span, NOW_NS)._replace(attributes=attributes or {})


def test_every_kind_of_place_can_be_changed() -> None:
    before = record({"k": {"n": ["x", "y"]}})
    after = rewrite(
        before,
        [
            (("name",), "N"),
            (("dims", "agent"), "A"),
            (("tags", 1), "T"),
            (("input", 0, "content"), "I"),
            (("attributes", "k", "n", 1), "Y"),
        ],
    )
    assert (after.name, after.dims.agent, after.tags) == ("N", "A", ["a", "T"])
    assert after.input[0].content == "I"
    assert after.attributes == {"k": {"n": ["x", "Y"]}}
    assert before.tags == ["a", "b"], "the record it came from is untouched"
    assert before.attributes == {"k": {"n": ["x", "y"]}}


def test_keys_are_renamed_after_what_they_lead_to() -> None:
    changes = [
        (("attributes", "a@x", KEY), "[E]"),
        (("attributes", "a@x"), "1"),
        (("attributes", "b@x", KEY), "[E]"),
        (("attributes", "b@x", "c@x", KEY), "[E]"),
    ]
    after = rewrite(record({"a@x": "v", "b@x": {"c@x": 5}}), changes)
    assert after.attributes == {"[E]": "1", "[E] (2)": {"[E]": 5}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), JSON, min_size=1, max_size=3))
def test_renaming_keys_loses_no_value(attributes: dict[str, Json]) -> None:
    changes = [(("attributes", key, KEY), "[K]") for key in attributes]
    after = rewrite(record(attributes), changes)
    assert list(after.attributes.values()) == list(attributes.values())


def test_describe_hides_a_key_that_was_redacted() -> None:
    renamed = {"ann@x.org": "[EMAIL]"}
    assert describe(("input", 0, "content"), {}) == "input[0].content"
    assert describe(("attributes", "crm.note"), {}) == "attributes[crm.note]"
    assert describe(("attributes", "ann@x.org", "n", 2), renamed) == "attributes[[EMAIL]][n][2]"
    assert describe(("attributes", "ann@x.org", KEY), renamed) == "attributes[[EMAIL]].key"
    assert describe(("events", 1, "attributes", "k"), {}) == "events[1].attributes[k]"
