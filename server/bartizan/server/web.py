"""The HTTP port: health, metrics, OpenAPI, OTLP over HTTP and Connect."""

import os
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bartizan.server import openapi
from bartizan.server.rpc.connect_door import ConnectDoor
from bartizan.server.web_guard import Guard
from bartizan.server.web_otlp import OtlpDoor

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""Returns what keeps the server from serving, in sentences without content; empty when ready."""


def application(
    *, connect: ConnectDoor, otlp: OtlpDoor, ready: Readiness, registry: CollectorRegistry
) -> ASGIApp:
    """Returns the whole HTTP application."""
    pages = _Pages(ready, registry)
    routes = [
        Route("/healthz", pages.healthz),
        Route("/readyz", pages.readyz),
        Route("/metrics", pages.metrics),
        Route("/openapi.json", pages.openapi),
        Route("/v1/traces", otlp.traces, methods=["POST"]),
        Route("/v1/logs", otlp.no_traces, methods=["POST"]),
        Route("/v1/metrics", otlp.no_traces, methods=["POST"]),
        # Without methods: Connect says itself which ones it takes.
        *(Route(path, connect) for path in connect.paths),
    ]
    return Guard(
        Starlette(routes=routes, exception_handlers={HTTPException: _http, Exception: _bug})
    )


class _Pages:
    """What monitors and tools ask for. None of it needs a key, and none of it holds content."""

    def __init__(self, ready: Readiness, registry: CollectorRegistry) -> None:
        self._ready = ready
        self._registry = registry
        self._openapi = openapi.document_json()

    async def healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        problems = list(await self._ready())
        if not problems:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable", "problems": problems}, 503)

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(_registry(self._registry)), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _: Request) -> Response:
        return Response(self._openapi, media_type="application/json")


def _registry(own: CollectorRegistry) -> CollectorRegistry:
    """Returns the figures of this process, or of all of them where several share the port."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _bug(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "the server failed on this request"}, 500)
