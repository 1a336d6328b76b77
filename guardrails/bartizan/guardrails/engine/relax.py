"""Widens a regular expression for RE2: what the expression matches, the wider one matches too.

RE2 has no look-around and knows ASCII word characters only; the recognizers' expressions use
both. The wider expression drops what RE2 cannot say and never narrows, so a text without a match
of it has no match of the original. Nothing here ever matches a NUL: texts can be joined by it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Node = tuple[Any, Any]

FLAGS = re.IGNORECASE | re.DOTALL | re.MULTILINE | re.VERBOSE

REPEATING = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
LOOKING = (op.ASSERT, op.ASSERT_NOT)
NESTED = (*REPEATING, *LOOKING, op.BRANCH, op.SUBPATTERN, op.ATOMIC_GROUP)

MAX_REPEATS = 1_000
"""RE2 refuses more."""

LONG_RUN = 16
"""A run this long says enough by itself; what comes before it only makes the automaton large."""

ALL_ASCII = frozenset(range(1, 128))
DIGITS = frozenset(b"0123456789")
WORDS = DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
UNSURE = frozenset(b"\x1c\x1d\x1e\x1f")
"""Space to some engines and not to others: in every set that may hold them."""

SPACES = frozenset(b"\t\n\v\f\r ") | UNSURE
ANY_OTHER = r"\x{80}-\x{10ffff}"

MAX_SPELT_OUT = 64

EQUALS = {0x130: "i", 0x131: "i", 0x212A: "k", 0x17F: "s"}
FOLDED = {"i": r"\x{130}\x{131}", "k": r"\x{212a}", "s": r"\x{17f}"}
"""Characters outside ASCII that equal a letter of ASCII when case is ignored."""


class Unknown(Exception):
    """Raised when an expression holds something that cannot be widened with certainty."""


@dataclass(frozen=True, slots=True)
class Chars:
    """A set of characters: some of ASCII, and others as the inside of a class of RE2."""

    ascii: frozenset[int]
    other: str = ""

    def __or__(self, more: "Chars") -> "Chars":
        if ANY_OTHER in (self.other, more.other):
            return Chars(self.ascii | more.ascii, ANY_OTHER)
        new = more.other if more.other not in self.other else ""
        return Chars(self.ascii | more.ascii, self.other + new)

    def __le__(self, more: "Chars") -> bool:
        return self.ascii <= more.ascii and more.other in (self.other, ANY_OTHER)


class Widener:
    """Widens expressions, either for texts of ASCII alone or for all texts."""

    def __init__(self, digits_outside_ascii: str | None) -> None:
        """`digits_outside_ascii` is the inside of a class of RE2; None for ASCII alone."""
        self._only_ascii = digits_outside_ascii is None
        self._digits = Chars(DIGITS, digits_outside_ascii or "")

    def widen(self, pattern: str, flags: int) -> str:
        """Returns the wider expression. Raises Unknown if there is none."""
        try:
            tree = parser.parse(pattern, flags & FLAGS)
        except re.error as error:
            raise Unknown(str(error)) from error
        self._ignores_case = bool(tree.state.flags & re.IGNORECASE)
        self._groups: dict[int, Sequence[Node]] = {}
        nodes = _trimmed(list(tree))
        return self._edge(nodes[:1]) + self._sequence(nodes)

    def alphabet(self, pattern: str, flags: int) -> str:
        """Returns the characters of which runs hold all that matters to a match.

        It is a class of RE2 and of `re`. A match lies inside one run of them, and what the
        expression looks at around it inside the run and its two neighbours. Raises Unknown if
        there is no such class.
        """
        self.widen(pattern, flags)
        return self._class(self._taken(parser.parse(pattern, flags & FLAGS)))

    def _taken(self, nodes: Iterable[Node]) -> Chars:
        union = Chars(frozenset())
        for node in nodes:
            kind, value = node
            if (chars := self._chars(node)) is not None:
                union |= chars
            elif kind in LOOKING:
                union |= self._looked_at(value[1])
            elif kind not in (op.AT, op.GROUPREF):
                for body in _bodies(kind, value):
                    union |= self._taken(body)
        return union

    def _looked_at(self, body: Sequence[Node]) -> Chars:
        """Returns what a look-around has to take to see more than the next character."""
        if _has_border(body):
            raise Unknown("it looks for a border")
        only_next = parser.SubPattern.getwidth(body)[1] <= 1
        return Chars(frozenset()) if only_next else self._taken(body)

    def _sequence(self, nodes: Sequence[Node]) -> str:
        parts: list[str] = []
        for place, node in enumerate(nodes):
            if run := self._long_run(nodes[: place + 1]):
                parts = [run]
            else:
                parts.append(self._node(node))
        return "".join(parts)

    def _node(self, node: Node) -> str:
        kind, value = node
        if (chars := self._chars(node)) is not None:
            return self._class(chars)
        if kind in REPEATING:
            low, high, body = value
            return f"(?:{self._sequence(body)}){_count(low, high)}"
        if kind is op.BRANCH:
            return f"(?:{'|'.join(self._sequence(branch) for branch in value[1])})"
        if kind is op.SUBPATTERN:
            group, added_flags, _, body = value
            self._groups[group] = body
            self._ignores_case |= bool(added_flags & re.IGNORECASE)
            return f"(?:{self._sequence(body)})"
        if kind is op.ATOMIC_GROUP:
            return f"(?:{self._sequence(value)})"
        if kind is op.GROUPREF and value in self._groups:
            return f"(?:{self._sequence(self._groups[value])})"
        if kind is op.AT:
            return r"\b" if value is op.AT_BOUNDARY and self._only_ascii else ""
        if kind in LOOKING:
            return ""
        raise Unknown(str(kind))

    def _edge(self, first: Sequence[Node]) -> str:
        """Returns what has to stand before a match if the first node says `not after these`."""
        if not first or first[0][0] is not op.ASSERT_NOT:
            return ""
        direction, body = first[0][1]
        if direction > 0 or len(body) != 1 or body[0][0] is not op.IN:
            return ""
        items = body[0][1]
        if items[0][0] is op.NEGATE:
            return ""
        return rf"(?:\A|\x00|{self._class(self._all_but(items))})"

    def _long_run(self, nodes: Sequence[Node]) -> str:
        *before, (kind, value) = nodes
        if kind is not op.MAX_REPEAT or value[0] < LONG_RUN:
            return ""
        chars = self._alphabet(value[2])
        if chars is None or len(value[2]) != 1 or not before:
            return ""
        lead = self._alphabet(before)
        if lead is None or not lead <= chars:
            return ""
        least = value[0] + sum(_least(node) for node in before)
        return f"{self._class(chars)}{_count(least, least)}"

    def _alphabet(self, nodes: Iterable[Node]) -> Chars | None:
        """Returns all characters that the nodes can take; None if that is not plain."""
        union = Chars(frozenset())
        for node in nodes:
            kind, value = node
            chars = self._chars(node)
            if chars is None and kind is op.BRANCH:
                chars = self._alphabet(part for branch in value[1] for part in branch)
            if chars is None and kind is op.SUBPATTERN:
                chars = self._alphabet(value[3])
            if chars is None:
                return None
            union |= chars
        return union

    def _chars(self, node: Node) -> Chars | None:
        """Returns the characters of a node that takes exactly one; None if it is no such node."""
        kind, value = node
        if kind is op.ANY:
            return Chars(ALL_ASCII, ANY_OTHER)
        if kind is op.NOT_LITERAL:
            return Chars(ALL_ASCII, ANY_OTHER)
        if kind is op.LITERAL:
            return self._folded(_between(value, value))
        if kind is op.IN:
            return self._set(value)
        return None

    def _set(self, items: Sequence[Node]) -> Chars:
        if items[0][0] is op.NEGATE:
            return self._folded(self._all_but(items[1:]))
        return self._folded(self._any_of(items))

    def _any_of(self, items: Sequence[Node]) -> Chars:
        union = Chars(frozenset())
        for kind, value in items:
            union |= self._member(kind, value)
        return union

    def _all_but(self, items: Sequence[Node]) -> Chars:
        """Returns at least what is in none of the items: all that may be outside stays in."""
        plain = [item for item in items if not _is_beyond_ascii(item)]
        return Chars(ALL_ASCII - self._any_of(plain).ascii | UNSURE, ANY_OTHER)

    def _member(self, kind: Any, value: Any) -> Chars:
        if kind in (op.LITERAL, op.RANGE):
            return _between(*_ends(value))
        if kind is op.CATEGORY:
            return self._category(value)
        raise Unknown(str(kind))

    def _category(self, category: Any) -> Chars:
        if category is op.CATEGORY_DIGIT:
            return self._digits
        plain = {
            op.CATEGORY_WORD: WORDS,
            op.CATEGORY_SPACE: SPACES,
            op.CATEGORY_NOT_DIGIT: ALL_ASCII - DIGITS,
            op.CATEGORY_NOT_WORD: ALL_ASCII - WORDS,
            op.CATEGORY_NOT_SPACE: ALL_ASCII - SPACES | UNSURE,
        }
        if category not in plain:
            raise Unknown(str(category))
        return Chars(plain[category], ANY_OTHER)

    def _folded(self, chars: Chars) -> Chars:
        if not self._ignores_case:
            return chars
        letters = "".join(map(chr, chars.ascii)).lower()
        cases = frozenset(map(ord, letters + letters.upper()))
        other = "".join(more for letter, more in FOLDED.items() if letter in letters)
        return chars | Chars(cases, other)

    def _class(self, chars: Chars) -> str:
        members = "".join(rf"\x{code:02x}" for code in sorted(chars.ascii))
        other = "" if self._only_ascii else chars.other
        if not members and not other:
            return r"[^\x00-\x{10ffff}]"
        return f"[{members}{other}]"


def _between(low: int, high: int) -> Chars:
    in_ascii = frozenset(range(max(low, 1), min(high, 127) + 1))
    if high <= 127:
        return Chars(in_ascii)
    in_ascii |= {ord(equal) for code, equal in EQUALS.items() if low <= code <= high}
    beyond = range(max(low, 128), high + 1)
    if len(beyond) > MAX_SPELT_OUT or any(_has_case(chr(code)) for code in beyond):
        return Chars(in_ascii, ANY_OTHER)
    return Chars(in_ascii, rf"\x{{{beyond[0]:x}}}-\x{{{beyond[-1]:x}}}")


def _has_case(char: str) -> bool:
    return not char.lower() == char == char.upper() == char.casefold()


def _bodies(kind: Any, value: Any) -> Sequence[Sequence[Node]]:
    if kind is op.BRANCH:
        branches: Sequence[Sequence[Node]] = value[1]
        return branches
    if kind is op.SUBPATTERN:
        return [value[3]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    if kind in LOOKING:
        return [value[1]]
    return [value[2]]


def _has_border(nodes: Iterable[Node]) -> bool:
    for kind, value in nodes:
        if kind is op.AT:
            return True
        if kind in NESTED and any(map(_has_border, _bodies(kind, value))):
            return True
    return False


def _is_beyond_ascii(item: Node) -> bool:
    kind, value = item
    return kind in (op.LITERAL, op.RANGE) and _between(*_ends(value)).other != ""


def _ends(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _count(low: int, high: Any) -> str:
    low = min(low, MAX_REPEATS)
    if high is op.MAXREPEAT or high > MAX_REPEATS:
        return f"{{{low},}}"
    return f"{{{low},{high}}}"


def _trimmed(nodes: list[Node]) -> list[Node]:
    """Returns the nodes without what is optional at the end: a match has one without it too."""
    while nodes and nodes[-1][0] in (op.MAX_REPEAT, op.MIN_REPEAT):
        kind, (low, _, body) = nodes.pop()
        if low:
            return [*nodes, (kind, (low, low, body))]
    return nodes


def _least(node: Node) -> int:
    kind, value = node
    if kind is op.BRANCH:
        return min(sum(map(_least, branch)) for branch in value[1])
    if kind is op.SUBPATTERN:
        return sum(map(_least, value[3]))
    return 1
