"""What the spans of one OTLP resource and scope have in common, read once for all of them."""

from typing import Any

from bartizan.server.ingest.checks import MAX_ATTRIBUTES, Rejection, check_count
from bartizan.server.ingest.semconv.attributes import Read, read_of_resource
from bartizan.server.ingest.semconv.decode import decoded, located, pairs
from bartizan.server.ingest.semconv.table import FIELDS, UNKNOWN
from bartizan.server.ingest.span import Json


class Origin:
    """A resource, and within it a scope.

    Attributes:
        values: typed values by field, as far as the resource gives them.
        reads: the attributes they came from, by field.
        attributes: those of resource and scope that fill no field.
    """

    def __init__(self, resource: Any) -> None:
        """Raises Rejection when an attribute of the resource is not storable."""
        self.values: list[Any] = list(UNKNOWN)
        self.reads: list[Read | None] = [None] * FIELDS
        self.attributes: dict[str, Json] = {}
        check_count(len(resource.attributes), MAX_ATTRIBUTES, "resource.attributes")
        for index, raw in enumerate(resource.attributes):
            try:
                found = read_of_resource(raw)
            except Rejection as error:
                raise located(error, f"resource.attributes[{index}]") from None
            place(found, self.values, self.reads, self.attributes)

    def of_scope(self, scope: Any) -> "Origin":
        """Returns this resource with a scope; raises Rejection when the scope is not storable."""
        origin = Origin.__new__(Origin)
        origin.values, origin.reads = self.values, self.reads
        origin.attributes = self.attributes.copy()
        for key, raw in (("otel.scope.name", scope.name), ("otel.scope.version", scope.version)):
            if raw:
                origin.attributes[key] = decoded(raw, key)
        for key, value in pairs(scope.attributes, "scope.attributes", MAX_ATTRIBUTES).items():
            origin.attributes[f"scope.{key}"] = value
        return origin


def place(
    found: Read, values: list[Any], reads: list[Read | None], attributes: dict[str, Json]
) -> None:
    """Puts an attribute where it belongs; of two for one field, the better source gets it."""
    field, key, value, original, whole, rank = found
    if field < 0:
        attributes[key] = original
        return
    if not whole:
        attributes[key] = original
    loser = reads[field]
    if loser is None or rank <= loser[5]:
        values[field], reads[field] = value, found
    else:
        loser = found
    if loser is not None and loser[2] != values[field]:
        attributes[loser[1]] = loser[3]
