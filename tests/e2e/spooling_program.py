"""A traced program that is killed by the tests: says the id of each span once its end returned."""

import itertools
import os
import sys

from bartizan.client import Bartizan

bz = Bartizan(spool=sys.argv[1])
limit = int(sys.argv[2])
for number in itertools.count() if limit < 0 else range(limit):
    with bz.span(f"step {number}") as root:
        with bz.span("inner") as inner:
            inner.set_output("x" * 500)
        os.write(1, f"{inner.trace_id} {inner.span_id}\n".encode())
    os.write(1, f"{root.trace_id} {root.span_id}\n".encode())
sys.exit(0 if bz.flush(timeout_s=60) else 3)
