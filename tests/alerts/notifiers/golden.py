"""Compares what is rendered with a file in tests/alerts/golden.

`BARTIZAN_GOLDEN=write pytest …` writes the files anew; read the difference before it is kept.
"""

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bartizan.plugins.notification import Notification, Reason, Status
from bartizan.plugins.notifier_testing import BEGUN, notification

FOLDER = Path(__file__).parents[1] / "golden"


def same_as(name: str, rendered: str) -> None:
    """Fails unless `rendered` is what the file `name` holds."""
    file = FOLDER / name
    if os.environ.get("BARTIZAN_GOLDEN") == "write":
        file.write_text(rendered, "utf-8")
    assert rendered == file.read_text("utf-8")


def several() -> Notification:
    """Returns a notification of three alerts, one of them over, and four that are not shown."""
    plain = notification()
    [alert] = plain.alerts
    values = {"checkout": (0.124, None), "search": (0.311, None), "support": (0.021, 9)}
    alerts = tuple(
        replace(
            alert,
            labels={**alert.labels, "agent": agent},
            value=value,
            ends_at=None if minutes is None else BEGUN + timedelta(minutes=minutes),
            why_url=f"https://bartizan.example.com/alerts/{agent}/why",
        )
        for agent, (value, minutes) in values.items()
    )
    shared = {name: text for name, text in alert.labels.items() if name != "agent"}
    runbook = {"runbook_url": "https://runbooks.example.com/error-rate"}
    return replace(
        plain,
        title="Error rate of 2 agents is high",
        reason=Reason.NEW_ALERTS,
        common_labels=shared,
        common_annotations=runbook,
        alerts=alerts,
        truncated=4,
        number=2,
    )


def resolved(**changed: Any) -> Notification:
    """Returns a notification of one alert that is over after twelve minutes."""
    ended = replace(notification().alerts[0], ends_at=BEGUN + timedelta(minutes=12), value=0.004)
    given = {"status": Status.RESOLVED, "reason": Reason.ALL_RESOLVED, "alerts": (ended,)}
    return notification(**{**given, "number": 3, **changed})


def pretty(document: Any) -> str:
    """Returns a document as people read it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
