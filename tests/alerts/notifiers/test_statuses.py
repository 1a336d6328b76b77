import pytest

from bartizan.alerts.notifiers.http import Answer
from bartizan.alerts.notifiers.statuses import CHANNELS, check
from bartizan.plugins.notification import Cause, NotifyError, Permanent, Retryable

SECRET = b"planted-51"


def verdict(channel: str, status: int) -> str:
    try:
        check(channel, Answer(status, SECRET, 9.0))
    except NotifyError as error:
        raised = error
    else:
        return "taken"
    assert "planted" not in repr(raised)
    return type(raised).__name__


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_all_channels_agree_on(channel: str) -> None:
    assert verdict(channel, 200) == "taken"
    for status in (301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422):
        assert verdict(channel, status) == "Permanent"
    for status in (429, 500, 502, 503, 504, 520):
        assert verdict(channel, status) == "Retryable"


@pytest.mark.parametrize(
    ("channel", "status", "expected"),
    [
        ("pagerduty", 202, "taken"),
        ("webhook", 204, "taken"),
        ("slack", 204, "Permanent"),
        ("webhook", 408, "Retryable"),
        ("webhook", 425, "Retryable"),
        ("alertmanager", 408, "Retryable"),
        ("pagerduty", 408, "Permanent"),
    ],
)
def test_where_they_differ(channel: str, status: int, expected: str) -> None:
    assert verdict(channel, status) == expected


def test_causes_and_when() -> None:
    with pytest.raises(Retryable) as busy:
        check("slack", Answer(429, b"", 9.0))
    assert (busy.value.cause, busy.value.retry_after_s) == (Cause.RATE_LIMITED, 9.0)
    with pytest.raises(Retryable) as failing:
        check("slack", Answer(503, b"", 9.0))
    assert (failing.value.cause, failing.value.retry_after_s) == (Cause.SERVER, 9.0)
    with pytest.raises(Permanent) as login:
        check("slack", Answer(403, b""))
    assert login.value.cause is Cause.AUTH
