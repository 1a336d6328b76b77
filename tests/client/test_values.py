"""Copies of values of every kind."""

import dataclasses
import datetime
import enum
import json
import uuid
from collections import deque, namedtuple
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from bartizan.client._recording.messages import as_json
from bartizan.client._recording.values import MAX_CHARS, MAX_DEPTH, MAX_NODES, cut, snapshot

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.tuples(inner, inner)
        | st.sets(st.integers())
    ),
)


@given(VALUES)
def test_any_value_becomes_json(value: Any) -> None:
    assert json.loads(as_json(snapshot(value))) == snapshot(value)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    number: str
    items: list[int]


class Customer(BaseModel):
    name: str
    orders: list[int] = []


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "copied"),
    [
        (Colour.RED, "red"),
        (Order("A-1", [1, 2]), {"number": "A-1", "items": [1, 2]}),
        (Customer(name="Ada"), {"name": "Ada", "orders": []}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (datetime.date(2026, 3, 1), "2026-03-01"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (Path("/etc/hosts"), "/etc/hosts"),
        (b"\x00" * 1_000_000, "<1,000,000 bytes>"),
        ({1: "a", (1, 2): "b"}, {"1": "a", "(1, 2)": "b"}),
        (deque([1, 2]), [1, 2]),
        (range(10**12), "range(0, 1000000000000)"),
        (float("nan"), "nan"),
        (10**400, "<integer of 1,329 bits>"),
        (len, "<built-in function len>"),
    ],
)
def test_values_that_json_does_not_know(value: Any, copied: Any) -> None:
    assert snapshot(value) == copied


def test_a_copy_does_not_change_with_the_value() -> None:
    messages = [{"role": "user", "content": "first"}]
    copied = snapshot(messages)
    messages[0]["content"] = "second"
    assert copied == [{"role": "user", "content": "first"}]


def test_cycles_end() -> None:
    value: dict[str, Any] = {"name": "a"}
    value["self"] = [value]
    assert snapshot(value) == {"name": "a", "self": ["<cycle>"]}


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]
    assert snapshot([shared, shared]) == [[1], [1]]


def test_depth_ends() -> None:
    value: Any = "bottom"
    for _ in range(100_000):
        value = [value]
    text = as_json(snapshot(value))
    assert text.count("[") == MAX_DEPTH
    assert "<deeper>" in text


def test_width_ends() -> None:
    copied = snapshot(list(range(1_000_000)))
    assert len(copied) == MAX_NODES + 1
    assert copied[-1] == f"<{1_000_000 - MAX_NODES:,} more>"


def test_long_texts_are_cut_and_say_so() -> None:
    copied = snapshot("x" * 50_000_000)
    assert len(copied) < MAX_CHARS + 100
    assert "characters cut" in copied
    many = snapshot(["y" * 100_000] * 100)
    assert sum(map(len, many)) < MAX_CHARS + 10_000


@pytest.mark.parametrize("limit", [10, 11, 1_000])
@given(st.text(max_size=2_000))
def test_cut_keeps_head_and_tail(limit: int, text: str) -> None:
    short = cut(text, limit)
    if len(text) <= limit:
        assert short == text
    else:
        assert short.startswith(text[: limit // 2])
        assert short.endswith(text[-(limit // 2) :])


class Hostile:
    """Raises whatever one does with it."""

    def __init__(self, error: type[BaseException]) -> None:
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> Any:
        raise object.__getattribute__(self, "error")

    def __repr__(self) -> str:
        raise object.__getattribute__(self, "error")

    __iter__ = __len__ = __hash__ = __repr__  # type: ignore[assignment]


class BadMapping(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("changed meanwhile")


@pytest.mark.parametrize("error", [ValueError, AttributeError, RecursionError])
def test_hostile_values_do_no_harm(error: type[Exception]) -> None:
    assert "Hostile" in str(snapshot(Hostile(error)))
    assert "BadMapping" in str(snapshot(BadMapping(a=1)))
    assert snapshot([1, Hostile(error)]) is not None


def test_a_repr_without_end_is_cut() -> None:
    class Long:
        def __repr__(self) -> str:
            return "r" * 10_000_000

    assert len(snapshot(Long())) < 2_200
