"""Fingerprints."""

from hypothesis import given
from hypothesis import strategies as st

from bartizan.alerts.values import fingerprint

LABELS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4)


@given(LABELS, LABELS)
def test_equal_labels_and_no_others_share_a_fingerprint(
    one: dict[str, str], other: dict[str, str]
) -> None:
    shuffled = dict(reversed(one.items()))
    assert fingerprint(one) == fingerprint(shuffled)
    assert (fingerprint(one) == fingerprint(other)) == (one == other)


def test_a_fingerprint_stays_what_it_is() -> None:
    assert fingerprint({"alertname": "a", "project": "shop"}) == "5490abc52f251f70"
