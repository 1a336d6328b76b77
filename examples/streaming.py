"""A streamed answer is one span, with the time to its first chunk: `python examples/streaming.py`.

What must not leave the process is taken out before anything is sent. Spans wait in a spool on disk,
so that neither a crash of this program nor a server that is away loses one.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bartizan.client import Bartizan

bz = Bartizan(
    agent="storyteller",
    redact={"customer": r"\bC-\d{6}\b"},
    spool=Path(tempfile.gettempdir()) / "bartizan-example-spool",
)


STORY = "Once upon a time there was a turret that overhung a wall."


@bz.trace(model="gpt-4o-mini", provider="openai")
def tell(prompt: str) -> Iterator[str]:
    for word in STORY.split():
        time.sleep(0.01)
        yield f"{word} "
    bz.current_span().set_usage(input=24, output=13).set_cost(0.0000114)


for chunk in tell("A story for customer C-104233, please."):
    sys.stdout.write(chunk)
print()

if not bz.flush(timeout_s=5):
    print("The server is away; the trace waits in the spool.", file=sys.stderr)
