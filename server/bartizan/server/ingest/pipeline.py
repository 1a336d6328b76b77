"""From a checked batch to its outcome: judge, encode, write."""

from collections.abc import Callable

from bartizan.server.ingest.batch import Batch, Outcome
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.group import Pending
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.prepare import prepare
from bartizan.server.ingest.writer import Writer


class Pipeline:
    """What every door submits batches to."""

    def __init__(
        self, judge: Judge, encoder: Encoder, writer: Writer, clock_ns: Callable[[], int]
    ) -> None:
        self._judge = judge
        self._encoder = encoder
        self._clock_ns = clock_ns
        self.writer = writer

    async def prepare(self, batch: Batch) -> Pending:
        """Judges a batch and makes it ready to be enqueued with the writer."""
        if batch.records:
            await self._judge.judge(batch)
        received_ns = self._clock_ns()
        return Pending(batch, prepare(batch, self._encoder, received_ns), received_ns)

    async def submit(self, batch: Batch) -> Outcome:
        """Judges and stores a batch; returns after the commit.

        Raises:
            Overloaded: the queue is full.
            Unavailable: the database is away or the server stops; sending again is harmless.
        """
        if not batch.records and not batch.refused:
            return Outcome()
        return await self.writer.enqueue(await self.prepare(batch))
