"""Builds one server process, one part on the other, and takes it down in the reverse order."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from bartizan.plugins.errors import ConfigError
from bartizan.plugins.pseudonyms import MIN_KEY_BYTES
from bartizan.server.auth import REFRESH_INTERVAL_S, Anonymous, Keys
from bartizan.server.config import Settings
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.pipeline import Pipeline
from bartizan.server.ingest.quota import Quotas
from bartizan.server.ingest.writer import Writer
from bartizan.server.jobs import Job, scheduled, store_jobs
from bartizan.server.leader import Leader
from bartizan.server.metrics import Metrics
from bartizan.server.readiness import Readiness
from bartizan.server.rpc.admin import AdminService
from bartizan.server.rpc.call import Service
from bartizan.server.rpc.connect_door import ConnectDoor
from bartizan.server.rpc.evaluations import EvaluationService
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.grpc_server import serve_grpc
from bartizan.server.rpc.guardrail_backtest import Backtests
from bartizan.server.rpc.guardrail_findings import FindingAdmin
from bartizan.server.rpc.guardrail_rules import RuleAdmin
from bartizan.server.rpc.guardrails import GuardrailService
from bartizan.server.rpc.ingest import IngestService
from bartizan.server.rpc.otlp import OtlpTraceService
from bartizan.server.rpc.tls import Tls
from bartizan.server.rpc.traces import TraceService
from bartizan.server.rules.book import RuleBook, default_rules
from bartizan.server.rules.deferred import BUSY, Backlog, DeferredWork
from bartizan.server.rules.keeping import RuleKeeper
from bartizan.server.store import guardrail_rules
from bartizan.server.store.engine import create_engine
from bartizan.server.store.keys import CHANNEL as KEYS_CHANNEL
from bartizan.server.store.listener import Listener
from bartizan.server.store.paging import PageTokens
from bartizan.server.store.streams import last_seq
from bartizan.server.store.tail import Tail
from bartizan.server.store.writing_sql import CHANNEL
from bartizan.server.web import application
from bartizan.server.web_body import BodyMemory
from bartizan.server.web_otlp import OtlpDoor
from bartizan.server.web_serve import bind, serve_http

log = structlog.get_logger(__name__)


GC_THRESHOLDS = (50_000, 50, 50)
"""Spans on their way are thousands of tuples without cycles. With Python's defaults the collector
goes through all of them again and again, for a fifth of the server's time."""


class Ports(NamedTuple):
    """Where a running server listens."""

    grpc: int
    http: int


@dataclass(frozen=True, slots=True)
class Process:
    """One server process: what it needs to know beside the settings."""

    settings: Settings
    database_url: str
    secrets: dict[str, bytes]
    embedded: bool
    """True when the database lives in the data directory."""
    shared_ports: bool = False
    """True when other processes listen on the same ports."""


async def serve(
    process: Process, stop: asyncio.Event, ready: Callable[[Ports], Awaitable[None]]
) -> None:
    """Runs one server process until `stop` is set, then drains it.

    Calls `ready` once it takes traces. Raises ConfigError when something in the settings, the rules
    or the addresses is wrong.
    """
    async with AsyncExitStack() as stack:
        parts = await _build(process, stack)
        settings = process.settings
        tls = _tls(settings)
        grpc_server = await stack.enter_async_context(
            serve_grpc(
                parts.services,
                parts.gate,
                host=settings.grpc_listen.host,
                port=settings.grpc_listen.port,
                tls=tls,
                reuse_port=process.shared_ports,
                with_reflection=settings.grpc.reflection,
                keepalive_s=settings.grpc.keepalive.total_seconds(),
                max_connection_age_s=settings.grpc.max_connection_age.total_seconds(),
            )
        )
        http_server = await stack.enter_async_context(
            serve_http(
                parts.web,
                bind(
                    settings.http_listen.host,
                    settings.http_listen.port,
                    reuse_port=process.shared_ports,
                ),
                tls=tls,
            )
        )
        watch = await stack.enter_async_context(
            _background(parts.readiness.watch(grpc_server.set_serving), "readiness")
        )
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await ready(Ports(grpc_server.port, http_server.port))
        await _until(stop, watch, parts.writing)
        grace_s = settings.shutdown_grace.total_seconds()
        log.info("draining", grace_s=grace_s)
        watch.cancel()
        parts.readiness.draining = True
        parts.ingest.drain()
        parts.tail.close()
        await asyncio.gather(grpc_server.stop(grace_s), http_server.stop(grace_s))
        parts.writer.drain()
        await asyncio.wait([parts.writing], timeout=grace_s)


@dataclass(frozen=True, slots=True)
class _Parts:
    services: Sequence[Service]
    gate: Gate
    web: Callable[..., Awaitable[None]]
    readiness: Readiness
    ingest: IngestService
    tail: Tail
    writer: Writer
    writing: "asyncio.Task[None]"


async def _build(process: Process, stack: AsyncExitStack) -> _Parts:
    settings, url = process.settings, process.database_url
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    engine = create_engine(url)
    stack.push_async_callback(engine.dispose)
    rules = RuleBook(
        settings.rules or default_rules(),
        partial(guardrail_rules.newer, engine),
        process.secrets["redaction_hash"],
        metrics,
        _vault_key(settings),
    )
    stack.push_async_callback(rules.aclose)
    await rules.start()
    writer = Writer(
        url,
        metrics,
        queue_bytes=settings.limits.queue_bytes,
        group_spans=settings.limits.group_spans,
    )
    writing = await stack.enter_async_context(_background(writer.run(), "writer"))
    backlog = Backlog(metrics)
    judge = Judge(rules.now, backlog.has_room)
    pipeline = Pipeline(judge, Encoder(settings.limits.max_field_bytes), writer, time.time_ns)
    keys = (Keys if settings.auth.enabled else Anonymous)(engine, _now)
    tail = Tail(engine, metrics)
    listener = Listener(url, {CHANNEL: tail.committed, KEYS_CHANNEL: keys.forget})
    await stack.enter_async_context(_background(listener.run(), "listener"))
    deferred = DeferredWork(
        url,
        engine,
        rules,
        metrics,
        backlog,
        is_busy=lambda: judge.under_way > 0 or writer.fill > BUSY,
    )
    await stack.enter_async_context(_background(deferred.run(), "deferred"))
    quotas = Quotas(time.time_ns)
    ingest = IngestService(
        pipeline,
        quotas,
        time.time_ns,
        last_seq=lambda project_id, stream_key: last_seq(engine, project_id, stream_key),
        check_key=keys.check,
        max_in_flight=settings.limits.stream_in_flight,
    )
    otlp = OtlpTraceService(pipeline.submit, quotas, time.time_ns)
    tokens = PageTokens(process.secrets["page_tokens"])
    services: list[Service] = [
        ingest,
        otlp,
        TraceService(engine, tail, tokens, check_key=keys.check),
        EvaluationService(engine, rules.of, quotas, tokens, metrics, time.time_ns),
        GuardrailService(
            rules.of,
            quotas,
            RuleAdmin(engine, rules, RuleKeeper(engine, rules, _now), tokens),
            FindingAdmin(engine, tokens, _now),
            Backtests(engine, rules, _now),
            check_key=keys.check,
        ),
        AdminService(engine, tokens, clock=_now, forget=keys.forget),
    ]
    gate = Gate(keys, metrics)
    await _start_jobs(process, rules, keys, metrics, stack)
    readiness = Readiness(
        engine,
        lambda: writer.problem,
        settings.data_dir if process.embedded else None,
    )
    web = application(
        connect=ConnectDoor([s for s in services if s is not otlp], gate),
        otlp=OtlpDoor(otlp, gate, BodyMemory()),
        ready=readiness.problems,
        registry=registry,
    )
    return _Parts(services, gate, web, readiness, ingest, tail, writer, writing)


async def _start_jobs(
    process: Process,
    rules: RuleBook,
    keys: Keys | Anonymous,
    metrics: Metrics,
    stack: AsyncExitStack,
) -> None:
    leader = Leader(process.database_url)
    await stack.enter_async_context(_background(leader.run(), "leader"))

    def jobs() -> Iterator[Job]:
        yield Job("reload_rules", 2, rules.poll_file)
        yield Job("reload_own_rules", 1, rules.poll_own)
        if isinstance(keys, Keys):
            yield Job("refresh_keys", REFRESH_INTERVAL_S, keys.refresh)
            yield Job("flush_last_used", 60, keys.flush_last_used)
        yield from store_jobs(process.database_url, _now)

    stack.enter_context(scheduled(jobs(), leader, metrics))


@asynccontextmanager
async def _background(work: "Awaitable[None]", name: str) -> "AsyncIterator[asyncio.Task[None]]":
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _until(stop: asyncio.Event, *tasks: "asyncio.Task[None]") -> None:
    """Waits for the word to stop; a part that ends by itself is a bug, and ends the server."""
    stopping = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in done - {stopping}:
        task.result()


def _now() -> datetime:
    return datetime.now(UTC)


def _vault_key(settings: Settings) -> bytes | None:
    """Returns the key of the vault, if there is one; raises ConfigError if it cannot be used."""
    file = settings.vault_key_file
    if file is None:
        return None
    try:
        key = file.read_bytes()
    except OSError as error:
        raise ConfigError("BAD_VAULT_KEY", f"vault_key_file: {file}: {error.strerror}") from None
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(
            "BAD_VAULT_KEY", f"vault_key_file: {file} has less than {MIN_KEY_BYTES} bytes"
        )
    return key


def _tls(settings: Settings) -> Tls | None:
    files = settings.tls
    if files.cert_file is None or files.key_file is None:
        return None
    return Tls(files.cert_file, files.key_file, files.client_ca_file)
