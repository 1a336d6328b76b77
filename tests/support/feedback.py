"""Feedback for tests."""

from typing import Any

from bartizan.v1 import evaluation_pb2

START_S = 1_760_000_000


def make_feedback(
    number: int, *, create_s: int | None = None, **fields: Any
) -> evaluation_pb2.Feedback:
    """Returns feedback on a trace of its own, numbered, unless the fields say otherwise.

    It was given `number` seconds after START_S, unless `create_s` says when.
    """
    given: dict[str, Any] = {"feedback_id": f"{number:032x}", "trace_id": f"{number:032x}"} | fields
    if not {"thumbs_up", "rating", "label", "comment", "correction"} & fields.keys():
        given["thumbs_up"] = True
    item = evaluation_pb2.Feedback(**given)
    if not item.HasField("create_time"):
        item.create_time.FromSeconds(START_S + number if create_s is None else create_s)
    return item
