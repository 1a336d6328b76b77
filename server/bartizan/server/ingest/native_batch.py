"""Makes batches of native spans."""

import asyncio
from collections.abc import Callable, Sequence

from bartizan.plugins.errors import TooLarge
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.native import NativeConverter
from bartizan.v1 import common_pb2

MAX_BATCH_SPANS = 10_000


class NativeBatches:
    """Checks native spans and gathers them into batches."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._converter = NativeConverter()

    async def make(self, project_id: int, spans: Sequence[common_pb2.Span]) -> Batch:
        """Returns the batch; lets the event loop breathe while it checks. Raises TooLarge."""
        if len(spans) > MAX_BATCH_SPANS:
            raise TooLarge(
                "BATCH_TOO_LARGE",
                f"A batch has {len(spans)} spans; the limit is {MAX_BATCH_SPANS}.",
                field="spans",
                metadata={"limit": str(MAX_BATCH_SPANS), "size": str(len(spans))},
            )
        indexes: list[int] = []
        batch = Batch(project_id, [], indexes)
        for records, places, refused in self._converter.slices(spans, self._clock_ns()):
            if batch.records:
                await asyncio.sleep(0)
            batch.records.extend(records)
            indexes.extend(places)
            batch.refused.extend(refused)
        return batch
