"""Reads hosts as browsers do, and compares them with lists."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

MOST_LABELS = 10
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Hosts:
    """Some hosts: `example.com` is itself and `*.example.com` all below it."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Takes hosts and patterns as `checked_host` gave them."""
        given = list(patterns)
        self._exact = frozenset(one for one in given if not one.startswith("*."))
        self._below = frozenset(one[2:] for one in given if one.startswith("*."))

    def __bool__(self) -> bool:
        return bool(self._exact or self._below)

    def __contains__(self, host: str) -> bool:
        return host in self._exact or any(above in self._below for above in parents(host))


def checked_host(pattern: str) -> str:
    """Returns a host or pattern as it is compared. Raises ValueError if it is none."""
    host = pattern.removeprefix("*.")
    if not host or re.search(r"[\s/:@*?#]", host):
        raise ValueError("a host is written without scheme and path: example.com, *.example.com")
    return f"*.{read_host(host)}" if pattern.startswith("*.") else read_host(host)


def parents(host: str) -> list[str]:
    """Returns the hosts that a host is below: `b.c` and `c` of `a.b.c`."""
    labels = host.split(".")
    return [".".join(labels[place:]) for place in range(1, len(labels))][-MOST_LABELS:]


def read_host(written: str) -> str:
    """Returns a host in one spelling, with its letters as people see them."""
    host = unquote(written) if "%" in written else written
    if not host.isascii():
        host = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    host = host.lower().rstrip(".")
    return ".".join(map(_shown, host.split("."))) if "xn--" in host else host


def _shown(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


def read_address(host: str) -> Address | None:
    """Returns the address that a host is, in any spelling that browsers take: `0x7f.1`."""
    if host.startswith("["):
        try:
            return ipaddress.IPv6Address(host.strip("[]").partition("%")[0])
        except ValueError:
            return None
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) and len(part) < 20 for part in parts):
        return None
    numbers = [_number(part) for part in parts]
    *first, last = numbers
    if None in numbers or any(number is None or number > 255 for number in first):
        return None
    if last is None or last >= 256 ** (5 - len(parts)):
        return None
    value = last
    for place, number in enumerate(first):
        value += (number or 0) << 8 * (3 - place)
    return ipaddress.IPv4Address(value)


def is_plain(host: str, address: Address) -> bool:
    """Returns True if an address is written as people write it."""
    return isinstance(address, ipaddress.IPv6Address) or host == str(address)


def _number(part: str) -> int | None:
    try:
        if part[:2] in ("0x", "0X"):
            return int(part[2:] or "0", 16)
        return int(part, 8 if part.startswith("0") and len(part) > 1 else 10)
    except ValueError:
        return None
