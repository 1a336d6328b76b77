"""URLs: hosts on lists, hosts that are not what they seem, and links that carry data away."""

import re
import threading
from collections.abc import Iterator, Sequence

from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.guardrails.engine.prefilter import Condition, Prefilter
from bartizan.guardrails.urls.config import Kind, UrlsConfig
from bartizan.guardrails.urls.found import Found, Place, bare_hosts, opaque, urls
from bartizan.guardrails.urls.hosts import Hosts, is_plain, read_address, read_host
from bartizan.guardrails.urls.leaks import leak
from bartizan.guardrails.urls.lookalikes import Lookalikes, looks_latin
from bartizan.plugins.contract import Finding, Text

LOOK_IN_THREAD_CHARACTERS = 3_000
"""A look at this much takes about half a millisecond."""

SCAN_IN_THREAD_CHARACTERS = 64 * 1_024
NOTHING: tuple[Finding, ...] = ()

HARMLESS_DATA = re.compile(
    r"image/(?:png|jpe?g|gif|webp|avif|bmp)\b|font/|audio/|video/", re.IGNORECASE
)
SCRIPT = re.compile(r"[^\s]*[(=;%]")
PAGES = frozenset({"", "http", "https", "ws", "wss", "ftp", "ftps"})
"""Schemes of which a name before the host is a trick; in others it is how one signs in."""

_HEAD = re.compile(r"[^/\\?#]*")
_PORT = re.compile(r":\d*$")
_LETTERS = re.compile(r"[^\W\d_]")
_FOREIGN = re.compile("[\u0370-\u058f\u13a0-\u13ff\u2c80-\u2cff\ua4d0-\ua4ff]")

_HAS_SCHEME = r"(?i)://|:\\|[(\"'=<]//|www\d?\.|script\s?:|data\s?:"
_HAS_HOST = r"[\pL\pN]\.\pL\pL"


class Urls:
    """Finds URLs that are not wanted. Fetches nothing and asks no name server.

    Categories: `url.` and the kind: `url.lookalike`, `url.exfiltration`.
    """

    Config = UrlsConfig

    def __init__(self, config: UrlsConfig) -> None:
        """Makes the guardrail."""
        self._allow, self._deny = Hosts(config.allow), Hosts(config.deny)
        self._lookalikes = Lookalikes(config.lookalikes_of)
        self._kinds = frozenset(config.kinds)
        self._bare = bool(config.deny or config.lookalikes_of)
        condition = f"{_HAS_SCHEME}|{_HAS_HOST}" if self._bare else _HAS_SCHEME
        self._prefilter = Prefilter([Condition(condition, condition)])
        self._looks = Looks("urls", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the unwanted URLs of each text, in the order of the texts."""
        values = [text.value for text in texts]
        findings: list[Sequence[Finding]] = [NOTHING] * len(values)
        if sum(map(len, values)) <= SCAN_IN_THREAD_CHARACTERS:
            suspects = self._prefilter.candidates(values)
        else:
            suspects = range(len(values))
        looked = await self._looks.at([values[index] for index in suspects])
        for index, found in zip(suspects, looked, strict=True):
            findings[index] = found
        return findings

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        found: list[Finding] = []
        taken: list[tuple[int, int]] = []
        for url in urls(value):
            heed(gone)
            taken.append((url.start, url.end))
            found += self._judged(url)
        for url in opaque(value):
            heed(gone)
            found += _script(url)
        if self._bare:
            for start, end in _outside(bare_hosts(value), taken):
                heed(gone)
                found += self._judged_host(read_host(value[start:end]), start, end)
        wanted = [one for one in found if Kind(one.category.partition(".")[2]) in self._kinds]
        return sorted(wanted, key=lambda one: (one.start, one.end, one.category))

    def _judged(self, url: Found) -> Iterator[Finding]:
        authority = _HEAD.match(url.rest)
        head = authority[0] if authority is not None else ""
        user, at, written = head.rpartition("@")
        bare = _PORT.sub("", written)
        host = read_host(bare)
        if at and url.scheme in PAGES:
            yield _finding(Kind.USER_INFO, _user_score(user), url, "URL_HAS_USER")
        elif url.rest[len(head) :].startswith("\\@"):
            yield _finding(Kind.USER_INFO, 0.95, url, "URL_READ_TWO_WAYS")
        if not host:
            return
        if self._allow and host not in self._allow:
            yield _finding(Kind.NOT_ALLOWED, 1.0, url, "HOST_NOT_ALLOWED")
        yield from self._judged_host(host, url.start, url.end)
        address = read_address(host)
        if address is not None:
            yield _address(url, is_plain(bare.lower(), address), address.is_global)
        else:
            yield from _homograph(url, host, "xn--" in bare.lower())
        if host not in self._allow and (told := leak(host, url.rest[len(head) :], url.place)):
            yield _finding(Kind.EXFILTRATION, told.score, url, told.code)

    def _judged_host(self, host: str, start: int, end: int) -> Iterator[Finding]:
        if host in self._deny:
            yield Finding("url.denied", 1.0, start, end, "HOST_DENIED")
        elif host not in self._allow and (likeness := self._lookalikes.of(host)) is not None:
            yield Finding("url.lookalike", likeness.score, start, end, likeness.code)


def _finding(kind: Kind, score: float, url: Found, code: str) -> Finding:
    return Finding(f"url.{kind}", score, url.start, url.end, code)


def _user_score(user: str) -> float:
    """Returns how sure it is that a name before the host is to be taken for the host."""
    return 0.95 if "." in user or "%" in user else 0.6


def _address(url: Found, plain: bool, public: bool) -> Finding:
    if not plain:
        return _finding(Kind.IP, 0.95, url, "ADDRESS_DISGUISED")
    if public:
        return _finding(Kind.IP, 0.6, url, "ADDRESS_PUBLIC")
    return _finding(Kind.IP, 0.4, url, "ADDRESS_INTERNAL")


def _homograph(url: Found, host: str, encoded: bool) -> Iterator[Finding]:
    if host.isascii():
        return
    for label in host.split("."):
        foreign = _FOREIGN.search(label) is not None
        latin = any(char.isascii() for char in _LETTERS.findall(label))
        if foreign and latin:
            yield _finding(Kind.HOMOGRAPH, 0.9, url, "HOST_MIXES_SCRIPTS")
            return
        if foreign and looks_latin(label):
            yield _finding(Kind.HOMOGRAPH, 0.8, url, "HOST_LOOKS_LATIN")
            return
    if encoded:
        yield _finding(Kind.HOMOGRAPH, 0.3, url, "HOST_IN_PUNYCODE")


def _script(url: Found) -> Iterator[Finding]:
    if url.scheme == "data":
        if ("," not in url.rest and ";" not in url.rest) or HARMLESS_DATA.match(url.rest):
            return
        yield _finding(
            Kind.SCHEME, 0.9 if url.place is not Place.PROSE else 0.5, url, "URL_IS_DATA"
        )
    elif url.place is not Place.PROSE or SCRIPT.match(url.rest):
        score = 0.95 if url.place is not Place.PROSE else 0.6
        yield _finding(Kind.SCHEME, score, url, "URL_IS_SCRIPT")


def _outside(
    places: Iterator[tuple[int, int]], taken: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    left = iter(taken)
    current = next(left, None)
    for start, end in places:
        while current is not None and current[1] <= start:
            current = next(left, None)
        if current is None or end <= current[0]:
            yield start, end
