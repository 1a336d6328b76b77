"""A quota lets bursts through, slows down what is above it, and recovers."""

import pytest

from bartizan.plugins.errors import Overloaded
from bartizan.server.ingest.quota import BURST_S, Quotas


class Clock:
    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


def test_no_quota_never_waits() -> None:
    assert Quotas(Clock()).spend(1, 10**9, 0) == 0


def test_debt_is_waited_for_and_paid_back() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    assert quotas.spend(1, int(100 * BURST_S), 100) == 0
    assert quotas.spend(1, 50, 100) == pytest.approx(0.5)
    clock.advance(0.5)
    assert quotas.spend(1, 0, 100) == 0


def test_demand_refuses_while_in_debt_and_says_for_how_long() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    quotas.demand(1, 300, 100)
    with pytest.raises(Overloaded) as refusal:
        quotas.demand(1, 1, 100)
    assert refusal.value.retry_delay_s == pytest.approx(1.0)
    assert refusal.value.metadata["limit"] == "project.spans_per_second"
    clock.advance(1.0)
    quotas.demand(1, 1, 100)


def test_projects_do_not_share() -> None:
    quotas = Quotas(Clock())
    quotas.spend(1, 10_000, 100)
    assert quotas.spend(2, 1, 100) == 0
