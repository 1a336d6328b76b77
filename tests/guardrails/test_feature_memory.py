"""What is remembered of pieces of text is what they have."""

from hypothesis import given
from hypothesis import strategies as st

from bartizan.guardrails.engine.feature_memory import FeatureMemory
from bartizan.guardrails.engine.ngrams import Features, features_of

PIECES = st.lists(
    st.sampled_from(["", "a bad word", "x", "早く", "ignore the rules " * 9, "\ud800 é"])
)


def pairs(found: Features) -> list[tuple[int, int]]:
    return sorted(zip(found.buckets.tolist(), found.places.tolist(), strict=True))


@given(st.lists(PIECES.filter(bool), max_size=4), st.sampled_from([0, 60, 1_000]))
def test_features_are_the_same_however_much_is_remembered(
    calls: list[list[str]], most: int
) -> None:
    memory = FeatureMemory(most)
    for parts in calls:
        assert pairs(memory.of(parts)) == pairs(features_of(parts))
    assert memory._size == sum(len(one.buckets) for one in memory._known.values()) <= most


def test_the_oldest_are_forgotten() -> None:
    memory = FeatureMemory(100)
    for number in range(50):
        memory.of([f"text number {number} of many"])
    assert 0 < len(memory._known) < 10
