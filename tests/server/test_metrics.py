from prometheus_client import CollectorRegistry

from bartizan.server.metrics import Metrics, describe


def test_outcomes_are_there_before_the_first_span() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    for outcome in ("stored", "duplicate", "rejected", "quarantined"):
        assert registry.get_sample_value("bartizan_spans_total", {"outcome": outcome}) == 0


def test_every_metric_is_described() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    exported = {
        f"{m.name}_total" if m.type == "counter" else m.name: (m.type, m.documentation)
        for m in registry.collect()
    }
    assert exported == {name: (kind, text) for name, kind, _, text in metrics.rows()}
    table = describe().splitlines()
    assert len(table) == len(exported) + 2
    assert (
        "| `bartizan_spans_total` | counter | outcome | Spans received, by what became of them. |"
        in table
    )
