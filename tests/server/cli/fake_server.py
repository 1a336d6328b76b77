"""The services that the commands call, over what the fake ingest has taken."""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tests.client.fake_ingest import STOP_S, FakeIngest, check_key, fail
from tests.server.cli.fake_rules import FakeRules

from bartizan.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    common_pb2,
    guardrail_pb2_grpc,
    trace_pb2,
    trace_pb2_grpc,
)

PROJECT = "organizations/default/projects/default"


class FakeTraces(trace_pb2_grpc.TraceServiceServicer):
    """Shows the ingest's spans; keeps the requests that it got."""

    def __init__(self, ingest: FakeIngest) -> None:
        self.ingest = ingest
        self.requests: list[Any] = []
        self.page_size = 2
        self.break_after: int | None = None
        """So many traces more are shown before showing one fails."""
        self.tails: deque[list[str]] = deque()
        """The traces that each connection of a tail sees before it breaks; all if not told."""
        self.tail_requests: list[Any] = []

    def ListTraces(
        self, request: trace_pb2.ListTracesRequest, context: grpc.ServicerContext
    ) -> trace_pb2.ListTracesResponse:
        check_key(context)
        kept = trace_pb2.ListTracesRequest()
        kept.CopyFrom(request)
        self.requests.append(kept)
        until_ns = kept.filter.end_time.ToNanoseconds() or math.inf
        traces = [self._summary(one) for one in {trace_id for trace_id, _ in self.ingest.spans}]
        traces = [one for one in traces if one.start_time.ToNanoseconds() < until_ns]
        traces.sort(key=lambda one: (one.start_time.ToNanoseconds(), one.trace_id), reverse=True)
        start = int(request.page_token or 0)
        end = start + min(self.page_size, request.page_size)
        return trace_pb2.ListTracesResponse(
            traces=traces[start:end], next_page_token=str(end) if end < len(traces) else ""
        )

    def GetTrace(
        self, request: trace_pb2.GetTraceRequest, context: grpc.ServicerContext
    ) -> Iterator[trace_pb2.GetTraceResponse]:
        check_key(context)
        if self.break_after is not None:
            if not self.break_after:
                fail(context, grpc.StatusCode.INTERNAL, "BROKEN", "It does not work now.")
            self.break_after -= 1
        spans = self._spans(request.name.rpartition("/")[2])
        if not spans:
            fail(context, grpc.StatusCode.NOT_FOUND, "TRACE_NOT_FOUND", "There is no such trace.")
        yield trace_pb2.GetTraceResponse(trace=self._summary(spans[0].trace_id), spans=spans[:1])
        finding = common_pb2.Finding(
            span_id=spans[0].span_id,
            category="pii.email_address",
            score=0.95,
            field="input[0].content",
            rule="pii",
            action=common_pb2.ACTION_REDACT,
        )
        yield trace_pb2.GetTraceResponse(spans=spans[1:], findings=[finding])

    def ListSessions(
        self, request: trace_pb2.ListSessionsRequest, context: grpc.ServicerContext
    ) -> trace_pb2.ListSessionsResponse:
        check_key(context)
        return trace_pb2.ListSessionsResponse(sessions=[trace_pb2.Session(session_id="chat-1")])

    def GetSession(
        self, request: trace_pb2.GetSessionRequest, context: grpc.ServicerContext
    ) -> trace_pb2.GetSessionResponse:
        check_key(context)
        return trace_pb2.GetSessionResponse(session=trace_pb2.Session(session_id=request.name))

    def TailTraces(
        self, request: trace_pb2.TailTracesRequest, context: grpc.ServicerContext
    ) -> Iterator[trace_pb2.TailTracesResponse]:
        check_key(context)
        self.tail_requests.append(request)
        yield trace_pb2.TailTracesResponse()
        seen = self.tails.popleft() if self.tails else sorted({one for one, _ in self.ingest.spans})
        for trace_id in seen:
            yield trace_pb2.TailTracesResponse(traces=[self._summary(trace_id)])
        fail(context, grpc.StatusCode.UNAVAILABLE, "DRAINING", "The server is going away.")

    def _spans(self, trace_id: str) -> list[common_pb2.Span]:
        found = [span for key, span in self.ingest.spans.items() if key[0] == trace_id]
        return sorted(found, key=lambda span: span.start_time.ToNanoseconds())

    def _summary(self, trace_id: str) -> trace_pb2.Trace:
        spans = self._spans(trace_id)
        return trace_pb2.Trace(
            name=f"{PROJECT}/traces/{trace_id}",
            trace_id=trace_id,
            display_name=spans[0].name,
            start_time=spans[0].start_time,
            end_time=max((one.end_time for one in spans), key=lambda t: t.ToNanoseconds()),
            span_count=len(spans),
            finding_count=1,
            root_seen=any(not span.parent_span_id for span in spans),
            agents=sorted({span.agent for span in spans if span.agent}),
        )


class FakeAdmin(admin_pb2_grpc.AdminServiceServicer):
    """Keeps keys and projects in memory."""

    def __init__(self) -> None:
        self.project = PROJECT
        self.keys: dict[str, admin_pb2.ApiKey] = {}
        self.projects: dict[str, admin_pb2.Project] = {}

    def WhoAmI(
        self, request: admin_pb2.WhoAmIRequest, context: grpc.ServicerContext
    ) -> admin_pb2.WhoAmIResponse:
        check_key(context)
        key = admin_pb2.ApiKey(scopes=[admin_pb2.SCOPE_INGEST, admin_pb2.SCOPE_READ])
        return admin_pb2.WhoAmIResponse(project=self.project, api_key=key, server_version="0.1.0")

    def ListApiKeys(
        self, request: admin_pb2.ListApiKeysRequest, context: grpc.ServicerContext
    ) -> admin_pb2.ListApiKeysResponse:
        return admin_pb2.ListApiKeysResponse(api_keys=self.keys.values())

    def CreateApiKey(
        self, request: admin_pb2.CreateApiKeyRequest, context: grpc.ServicerContext
    ) -> admin_pb2.CreateApiKeyResponse:
        key = request.api_key
        key.name = f"{PROJECT}/apiKeys/{len(self.keys) + 1}"
        self.keys[key.name] = key
        return admin_pb2.CreateApiKeyResponse(api_key=key, secret="btz_secret")

    def RevokeApiKey(
        self, request: admin_pb2.RevokeApiKeyRequest, context: grpc.ServicerContext
    ) -> admin_pb2.RevokeApiKeyResponse:
        key = self.keys[request.name]
        key.revoke_time.FromSeconds(1_700_000_000)
        return admin_pb2.RevokeApiKeyResponse(api_key=key)

    def RotateApiKey(
        self, request: admin_pb2.RotateApiKeyRequest, context: grpc.ServicerContext
    ) -> admin_pb2.RotateApiKeyResponse:
        key = self.keys[request.name]
        key.expire_time.FromSeconds(1_700_000_000 + request.overlap.seconds)
        return admin_pb2.RotateApiKeyResponse(api_key=key, secret="btz_rotated")

    def ListProjects(
        self, request: admin_pb2.ListProjectsRequest, context: grpc.ServicerContext
    ) -> admin_pb2.ListProjectsResponse:
        return admin_pb2.ListProjectsResponse(projects=self.projects.values())

    def GetProject(
        self, request: admin_pb2.GetProjectRequest, context: grpc.ServicerContext
    ) -> admin_pb2.GetProjectResponse:
        return admin_pb2.GetProjectResponse(project=self.projects[request.name])

    def CreateProject(
        self, request: admin_pb2.CreateProjectRequest, context: grpc.ServicerContext
    ) -> admin_pb2.CreateProjectResponse:
        project = request.project
        project.name = f"organizations/default/projects/{request.project_id}"
        self.projects[project.name] = project
        return admin_pb2.CreateProjectResponse(project=project)

    def UpdateProject(
        self, request: admin_pb2.UpdateProjectRequest, context: grpc.ServicerContext
    ) -> admin_pb2.UpdateProjectResponse:
        project = self.projects[request.project.name]
        request.update_mask.MergeMessage(request.project, project)
        return admin_pb2.UpdateProjectResponse(project=project)


class FakeServer:
    """All of them behind one port, and OTLP too."""

    def __init__(self) -> None:
        self.ingest = FakeIngest()
        self.traces = FakeTraces(self.ingest)
        self.admin = FakeAdmin()  # type: ignore[abstract] # no command calls the other methods
        self.rules = FakeRules()  # type: ignore[abstract] # likewise
        self.otlp: list[Any] = []
        self.refused_export: int | None = None
        """The number of the one request that is refused."""
        self.endpoint = ""

    @contextmanager
    def running(self) -> Iterator["FakeServer"]:
        """Serves until the block ends."""
        server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        trace_pb2_grpc.add_IngestServiceServicer_to_server(self.ingest, server)
        trace_pb2_grpc.add_TraceServiceServicer_to_server(self.traces, server)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self.admin, server)
        guardrail_pb2_grpc.add_GuardrailServiceServicer_to_server(self.rules, server)
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
            response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )
        name = "opentelemetry.proto.collector.trace.v1.TraceService"
        handler = grpc.method_handlers_generic_handler(name, {"Export": export})
        server.add_generic_rpc_handlers((handler,))
        self.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield self
        finally:
            server.stop(STOP_S).wait()

    def _export(self, request: Any, context: grpc.ServicerContext) -> Any:
        check_key(context)
        if self.refused_export == len(self.otlp) + 1:
            self.refused_export = None
            fail(context, grpc.StatusCode.INTERNAL, "BROKEN", "It does not work now.")
        self.otlp.append(request)
        spans = [
            span
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        response = trace_service_pb2.ExportTraceServiceResponse()
        bad = sum(not span.trace_id for span in spans)
        if bad:
            response.partial_success.rejected_spans = bad
            response.partial_success.error_message = "span 0: trace_id is required"
        return response
