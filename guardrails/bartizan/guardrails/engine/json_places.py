"""Says where every value stands in a text of JSON."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

Steps = tuple[int, ...]


def places(text: str) -> Iterator[tuple[Steps, int, int]]:
    """Yields the way to each value, where it begins and where it ends; the inner ones first.

    A way has for each object and array the place among its members, as a name may stand twice. The
    text must be JSON.
    """
    way: list[int] = []
    opened: list[tuple[int, bool]] = []
    is_name = False
    for token in _TOKEN.finditer(text):
        what = token[0]
        if what in ("{", "["):
            is_name = what == "{"
            opened.append((token.start(), is_name))
            way.append(0)
        elif what in ("}", "]"):
            way.pop()
            yield tuple(way), opened.pop()[0], token.end()
            is_name = False
        elif what == ",":
            way[-1] += 1
            is_name = opened[-1][1]
        elif what == ":":
            is_name = False
        elif not is_name:
            yield tuple(way), *token.span()
