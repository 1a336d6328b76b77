"""Opens connections to checked addresses, with TLS that is verified."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

from bartizan.alerts.notifiers.addresses import (
    Address,
    Resolve,
    allowed_addresses,
    system_addresses,
)
from bartizan.plugins.notification import Permanent

CONNECT_SECONDS = 3.0
"""What an address may take while there is another one to try."""

MAX_LINE_BYTES = 8 * 1_024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Dialer:
    """Opens connections for one channel."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        ca_file: Path | None = None,
        resolve: Resolve = system_addresses,
    ) -> None:
        """Connects nothing. `ca_file` takes the place of the system's authorities."""
        self._allow_private = allow_private
        self._ca_file = ca_file
        self._resolve = resolve
        self._context: ssl.SSLContext | None = None

    async def open(self, host: str, port: int, *, tls: bool) -> Streams:
        """Returns a connection to an address of `host` that was checked before.

        Raises OSError if none answers, Retryable and Permanent as `allowed_addresses` does.
        """
        addresses = await allowed_addresses(
            host, port, allow_private=self._allow_private, resolve=self._resolve
        )
        context = await self.context() if tls else None
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await _connected(address, port, context, host)
            except ssl.SSLError:
                raise
            except OSError:
                continue
        return await _connected(addresses[-1], port, context, host)

    async def over_tls(self, streams: Streams, host: str) -> Streams:
        """Returns the same connection, from now on with TLS.

        What came in before belongs to nobody: it may have been slipped in. Hold the old streams
        until the new ones are closed.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(MAX_LINE_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(
            streams[1].transport, protocol, await self.context(), server_hostname=host
        )
        if transport is None:
            raise ConnectionResetError
        reader.set_transport(transport)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def context(self) -> ssl.SSLContext:
        """Returns what verifies the other side. Raises Permanent if `ca_file` is of no use."""
        if self._context is None:
            self._context = await asyncio.to_thread(self._made_context)
        return self._context

    def _made_context(self) -> ssl.SSLContext:
        context = None
        with suppress(OSError, ValueError):
            context = ssl.create_default_context(cafile=self._ca_file)
        if context is None:
            raise Permanent("'ca_file' cannot be read, or holds no certificate")
        return context


async def _connected(
    address: Address, port: int, context: ssl.SSLContext | None, host: str
) -> Streams:
    """Connects to the very address that was checked; the name is for the certificate alone."""
    return await asyncio.open_connection(
        str(address),
        port,
        limit=MAX_LINE_BYTES,
        ssl=context,
        server_hostname=host if context is not None else None,
    )
