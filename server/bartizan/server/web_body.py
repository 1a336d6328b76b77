"""Reads the body of a request without letting it grow beyond its limit, packed or unpacked."""

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from bartizan.plugins.errors import InvalidArgument, Overloaded
from bartizan.server.rpc.methods import MAX_MESSAGE_BYTES, too_large

MAX_BODIES_BYTES = 4 * MAX_MESSAGE_BYTES
"""What the bodies of all open requests may hold together in one process."""

PIECE_BYTES = 1024 * 1024
"""Gzip is unpacked in pieces of this size, so that a bomb is noticed after one of them too many."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class UnknownEncoding(InvalidArgument):
    """Raised when a body is packed with something other than gzip."""


class Unpacker(Protocol):
    """Turns the bytes of a body as sent into the bytes meant."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Returns what a chunk holds, in pieces; raises InvalidArgument."""
        ...

    def close(self) -> None:
        """Raises InvalidArgument when the body ended too early."""
        ...


class Plain:
    """Bytes that mean themselves."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Returns the chunk."""
        yield chunk

    def close(self) -> None:
        """Does nothing."""


class Gunzip:
    """One gzip file or several in a row."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_WINDOW)
        self._fresh = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Returns what a chunk holds, in pieces; raises InvalidArgument."""
        while chunk:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(_GZIP_WINDOW)
            self._fresh = False
            try:
                piece = self._inflate.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                raise _broken() from None
            chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
            yield piece

    def close(self) -> None:
        """Raises InvalidArgument when the body ended too early."""
        if not (self._fresh or self._inflate.eof):
            raise _broken()


def _broken() -> InvalidArgument:
    return InvalidArgument("MALFORMED_GZIP", "the body is not valid gzip")


def unpacker(encoding: str) -> Unpacker:
    """Returns the unpacker for a content encoding; raises UnknownEncoding."""
    match encoding.strip().lower():
        case "" | "identity":
            return Plain()
        case "gzip" | "x-gzip":
            return Gunzip()
    raise UnknownEncoding("UNKNOWN_ENCODING", "the content-encoding must be gzip or none")


class BodyMemory:
    """The memory that the bodies of open requests share."""

    def __init__(self, limit_bytes: int = MAX_BODIES_BYTES) -> None:
        self._limit = limit_bytes
        self._used = 0

    @asynccontextmanager
    async def read(
        self, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Gives the whole body, unpacked, and holds its memory until the block ends.

        Raises TooLarge over the limit of one message, Overloaded when other requests hold the
        memory, UnknownEncoding, and InvalidArgument for broken gzip.
        """
        _check_declared(headers.get("content-length", ""))
        unpack = unpacker(headers.get("content-encoding", ""))
        body = bytearray()
        try:
            async for chunk in chunks:
                for piece in unpack.feed(chunk):
                    self._take(len(piece))
                    body += piece
                    if len(body) > MAX_MESSAGE_BYTES:
                        raise too_large()
            unpack.close()
            yield bytes(body)
        finally:
            self._used -= len(body)

    def _take(self, size: int) -> None:
        if self._used + size > self._limit:
            raise Overloaded(
                "BODIES_FULL",
                f"open requests hold the {self._limit} bytes that they may share; try again",
                metadata={"limit_bytes": str(self._limit)},
            )
        self._used += size


def _check_declared(length: str) -> None:
    if length.isdecimal() and int(length) > MAX_MESSAGE_BYTES:
        raise too_large(int(length))
