"""Shares with intervals, against published figures and what must hold of any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.plugins.statistics import quantile, wilson


@pytest.mark.parametrize(
    ("hits", "total", "lower", "upper"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion (1998), table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_known_intervals(hits: int, total: int, lower: float, upper: float) -> None:
    found = wilson(hits, total)
    assert found.value == hits / total
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=5e-5)


def test_nothing_is_known_of_nothing() -> None:
    assert wilson(0, 0) == (0.0, 0.0, 1.0)


counts = st.integers(1, 10**12).flatmap(
    lambda total: st.tuples(st.integers(0, total), st.just(total))
)


@given(counts)
def test_the_share_is_within_its_interval(counted: tuple[int, int]) -> None:
    hits, total = counted
    found = wilson(hits, total)
    assert 0 <= found.lower <= found.value <= found.upper <= 1


@given(st.integers(0, 1_000), st.integers(1, 1_000), st.integers(2, 50))
def test_more_of_the_same_is_more_certain(hits: int, misses: int, times: int) -> None:
    few, many = wilson(hits, hits + misses), wilson(hits * times, (hits + misses) * times)
    assert many.upper - many.lower < few.upper - few.lower


@given(counts)
def test_the_other_share_is_its_mirror(counted: tuple[int, int]) -> None:
    hits, total = counted
    found, mirror = wilson(hits, total), wilson(total - hits, total)
    assert found.lower == pytest.approx(1 - mirror.upper, abs=1e-9)


@given(st.lists(st.floats(0, 1e6), max_size=30), st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered or not ordered
    assert sum(value < found for value in ordered) <= share * len(ordered)


def test_quantiles() -> None:
    assert quantile([], 0.5) == 0
    assert quantile([1, 2, 3], 0.5) == 2
    assert quantile([float(value) for value in range(100)], 0.99) == 99
