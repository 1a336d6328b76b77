"""Latency buckets are within one per cent, and add up."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bartizan.server.ingest.latency import ACCURACY, bucket_of, quantile, value_of

DURATIONS = st.integers(1, 30 * 86_400 * 10**9)


@given(DURATIONS)
def test_value_of_a_bucket_is_within_the_accuracy(duration_ns: int) -> None:
    value = value_of(bucket_of(duration_ns))
    assert abs(value - duration_ns) <= (ACCURACY + 1e-9) * duration_ns


@given(DURATIONS, DURATIONS)
def test_buckets_keep_the_order(one: int, other: int) -> None:
    assert (bucket_of(one) <= bucket_of(other)) or one > other


@given(st.lists(DURATIONS, min_size=1), st.floats(0, 1))
def test_quantile_is_within_the_accuracy(durations: list[int], q: float) -> None:
    exact = sorted(durations)[int(q * (len(durations) - 1))]
    found = quantile(Counter(map(bucket_of, durations)), q)
    assert found is not None
    assert abs(found - exact) <= (ACCURACY + 1e-9) * exact


def test_buckets_fit_the_column() -> None:
    assert 0 <= bucket_of(0) <= bucket_of(30 * 86_400 * 10**9) < 2**15


def test_quantile_of_nothing_is_nothing() -> None:
    assert quantile({}, 0.5) is None
