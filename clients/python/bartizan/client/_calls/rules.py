"""The rules of a project, and what they found."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable

from bartizan.client._calls.documents import as_document, as_struct
from bartizan.client._calls.query import at, finding_filter
from bartizan.v1 import guardrail_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from typing_extensions import Unpack

    from bartizan.client._calls.query import FindingQuery
    from bartizan.v1 import guardrail_pb2_grpc

    Document = Mapping[str, Any]
    Unary = Callable[..., Any]
    Pages = Callable[..., Iterator[Any]]
    Streamed = Callable[..., Iterator[Any]]
    Asking = Callable[..., guardrail_pb2.CheckRequest]

APPLY_TIMEOUT_S = 120.0
"""The server tries every changed rule on a few texts before it takes it, and loads its model."""
BACKTEST_TIMEOUT_S = 6 * 3600.0
"""A million spans and a slow model; the caller may stop at any state."""


class Rules:
    """The rules of the key's project.

    Reading needs scope read, everything else scope rules. Documents are those of the YAML files,
    as dictionaries. A rule is known by its id. Every method raises BartizanError when its call
    fails, and InvalidArgument when a document is wrong.
    """

    def __init__(
        self,
        stub: guardrail_pb2_grpc.GuardrailServiceStub,
        unary: Unary,
        pages: Pages,
        streamed: Streamed,
        asking: Asking,
    ) -> None:
        self._stub = stub
        self._unary = unary
        self._pages = pages
        self._streamed = streamed
        self._asking = asking

    @staticmethod
    def document_of(rule: guardrail_pb2.GuardrailRule) -> dict[str, Any]:
        """Returns the document of a rule, with integers where it has whole numbers."""
        return as_document(rule.document)

    def list(self) -> Sequence[guardrail_pb2.GuardrailRule]:
        """Returns the server's rules and the project's own, also the paused ones, by id."""
        request = guardrail_pb2.ListRulesRequest()
        response: guardrail_pb2.ListRulesResponse = self._unary(self._stub.ListRules, request)
        return response.rules

    def get(self, id: str, version: str = "") -> guardrail_pb2.GuardrailRule:
        """Returns a rule, of now or of an earlier version; raises NotFound."""
        request = guardrail_pb2.GetRuleRequest(name=id, version=version)
        response: guardrail_pb2.GetRuleResponse = self._unary(self._stub.GetRule, request)
        return response.rule

    def versions(self, id: str, limit: int | None = None) -> Iterator[guardrail_pb2.GuardrailRule]:
        """Yields what a rule of the project was, newest first; raises NotFound."""
        request = guardrail_pb2.ListRuleVersionsRequest(parent=id)
        return self._pages(self._stub.ListRuleVersions, request, "rules", limit)

    def create(self, document: Document) -> guardrail_pb2.GuardrailRule:
        """Makes a rule; raises AlreadyExists if the project has one of that id."""
        rule = guardrail_pb2.GuardrailRule(document=as_struct(document))
        request = guardrail_pb2.CreateRuleRequest(rule=rule)
        response: guardrail_pb2.CreateRuleResponse = self._unary(self._stub.CreateRule, request)
        return response.rule

    def update(self, id: str, document: Document, etag: str = "") -> guardrail_pb2.GuardrailRule:
        """Replaces a rule by another version of it; raises NotFound.

        Raises Aborted if an etag is given and the rule no longer has it.
        """
        rule = guardrail_pb2.GuardrailRule(name=id, document=as_struct(document), etag=etag)
        request = guardrail_pb2.UpdateRuleRequest(rule=rule)
        response: guardrail_pb2.UpdateRuleResponse = self._unary(self._stub.UpdateRule, request)
        return response.rule

    def delete(self, id: str, etag: str = "") -> None:
        """Ends a rule of the project; raises NotFound, and Aborted as `update` does.

        The server's rule of the same id, if there is one, is in force again.
        """
        request = guardrail_pb2.DeleteRuleRequest(name=id, etag=etag)
        self._unary(self._stub.DeleteRule, request)

    def pause(self, id: str) -> guardrail_pb2.GuardrailRule:
        """Stops a rule in this project, the server's own included; raises NotFound."""
        return self._pause(id, True)

    def resume(self, id: str) -> guardrail_pb2.GuardrailRule:
        """Lets a paused rule go on; raises NotFound."""
        return self._pause(id, False)

    def apply(
        self,
        documents: Iterable[Document],
        *,
        prune: bool = False,
        dry_run: bool = False,
        expected_state: str = "",
    ) -> guardrail_pb2.ApplyRulesResponse:
        """Makes the project's rules those of the documents, all of them or none.

        Args:
            documents: the rules. Others of the project stay as they are.
            prune: delete the others.
            dry_run: only say what would change.
            expected_state: of an earlier answer: nothing is changed if the rules are no longer
                what they were then, and Aborted is raised.
        """
        request = guardrail_pb2.ApplyRulesRequest(
            documents=[as_struct(one) for one in documents],
            prune=prune,
            validate_only=dry_run,
            expected_state=expected_state,
        )
        response: guardrail_pb2.ApplyRulesResponse = self._unary(
            self._stub.ApplyRules, request, APPLY_TIMEOUT_S
        )
        return response

    def test(
        self,
        document: Document,
        value: Any,
        *,
        role: str = "user",
        agent: str = "",
        environment: str = "",
        model: str = "",
    ) -> guardrail_pb2.TestRuleResponse:
        """Returns what a rule that need not be in force says about a text, or about messages.

        The arguments are those of `Bartizan.check`. Nothing is stored.
        """
        where = {"agent": agent, "environment": environment, "model": model}
        asked = self._asking(value, role, where, ())
        request = guardrail_pb2.TestRuleRequest(
            document=as_struct(document), messages=asked.messages, context=asked.context
        )
        response: guardrail_pb2.TestRuleResponse = self._unary(self._stub.TestRule, request)
        return response

    def backtest(
        self,
        document: Document,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        max_spans: int = 0,
        max_examples: int = 0,
    ) -> Iterator[guardrail_pb2.BacktestRuleResponse]:
        """Yields how far a backtest has come, every second or so; the last one is the result.

        Args:
            document: the rule, which need not be in force.
            since: spans of traces that began then or later; a timedelta counts back from now. A
                week before the end when not given.
            until: spans of traces that began before then.
            max_spans: how many to look at; if there are more, every n-th trace. 100,000 when 0.
            max_examples: how many examples of each difference to name. 10 when 0.
        """
        request = guardrail_pb2.BacktestRuleRequest(
            document=as_struct(document), max_spans=max_spans, max_examples=max_examples
        )
        now = datetime.now(timezone.utc)
        for value, field in ((since, request.start_time), (until, request.end_time)):
            if value is not None:
                field.FromDatetime(at(value, now))
        return self._streamed(self._stub.BacktestRule, request, BACKTEST_TIMEOUT_S)

    def findings(
        self, limit: int | None = None, **query: Unpack[FindingQuery]
    ) -> Iterator[guardrail_pb2.StoredFinding]:
        """Yields findings, of the newest span first, page by page as they are asked for.

        Raises InvalidArgument for a wrong filter.
        """
        wanted = finding_filter(query, datetime.now(timezone.utc))
        request = guardrail_pb2.ListFindingsRequest(filter=wanted)
        return self._pages(self._stub.ListFindings, request, "findings", limit)

    def label(self, name: str, right: bool | None) -> guardrail_pb2.StoredFinding:
        """Says whether a finding is right; None takes back what was said. Raises NotFound."""
        request = guardrail_pb2.LabelFindingRequest(name=name, right=right)
        response: guardrail_pb2.LabelFindingResponse = self._unary(self._stub.LabelFinding, request)
        return response.finding

    def reveal(self, tokens: Iterable[str]) -> Sequence[guardrail_pb2.RevealedPseudonym]:
        """Returns what pseudonyms stand for, up to 100 at a time; needs scope reveal.

        Raises FailedPrecondition if the server has no vault.
        """
        request = guardrail_pb2.RevealPseudonymsRequest(tokens=tokens)
        response: guardrail_pb2.RevealPseudonymsResponse = self._unary(
            self._stub.RevealPseudonyms, request
        )
        return response.pseudonyms

    def _pause(self, id: str, paused: bool) -> guardrail_pb2.GuardrailRule:
        request = guardrail_pb2.PauseRuleRequest(name=id, paused=paused)
        response: guardrail_pb2.PauseRuleResponse = self._unary(self._stub.PauseRule, request)
        return response.rule
