"""The part of GuardrailService that keeps rules, in memory. It judges nothing."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import grpc
from tests.client.fake_ingest import check_key, fail

from bartizan.v1 import common_pb2, guardrail_pb2_grpc
from bartizan.v1 import guardrail_pb2 as pb

RULES = "organizations/default/projects/default/guardrailRules"
FINDINGS = "organizations/default/projects/default/findings"


def rule(document: dict[str, Any], **fields: Any) -> pb.GuardrailRule:
    """Returns a rule of the project."""
    made = pb.GuardrailRule(
        name=f"{RULES}/{document['id']}",
        origin=pb.RULE_ORIGIN_PROJECT,
        author="organizations/default/projects/default/apiKeys/k1",
        **fields,
    )
    made.document.update(document)
    made.version = made.version or f"v{len(made.SerializeToString())}"
    return made


class FakeRules(guardrail_pb2_grpc.GuardrailServiceServicer):
    """Keeps rules; what it says of texts is told beforehand."""

    def __init__(self) -> None:
        self.house = rule({"id": "pii", "plugin": "pii", "action": "redact", "budget_ms": 5000})
        self.house.origin = pb.RULE_ORIGIN_SERVER
        self.house.author = ""
        self.own: dict[str, pb.GuardrailRule] = {}
        self.past: list[pb.GuardrailRule] = []
        self.warnings: list[str] = []
        self.meddled = False
        """Somebody else changes something between two calls of apply."""
        self.requests: list[Any] = []
        self.failures: deque[tuple[grpc.StatusCode, str, str]] = deque()
        self.states: list[pb.BacktestRuleResponse] = []
        self.found: dict[str, pb.StoredFinding] = {}
        self.answer = pb.TestRuleResponse()

    def ListRules(self, request: pb.ListRulesRequest, context: Any) -> pb.ListRulesResponse:
        self._take(request, context)
        rules = {"pii": self.house, **self.own}
        return pb.ListRulesResponse(rules=[rules[name] for name in sorted(rules)])

    def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        self._take(request, context)
        if request.version:
            for one in self.past:
                if (one.name, one.version) == (f"{RULES}/{request.name}", request.version):
                    return pb.GetRuleResponse(rule=one)
        return pb.GetRuleResponse(rule=self._known(request.name, context))

    def ListRuleVersions(
        self, request: pb.ListRuleVersionsRequest, context: Any
    ) -> pb.ListRuleVersionsResponse:
        self._take(request, context)
        mine = [one for one in reversed(self.past) if one.name == f"{RULES}/{request.parent}"]
        start = int(request.page_token or 0)
        token = str(start + 1) if start + 1 < len(mine) else ""
        return pb.ListRuleVersionsResponse(rules=mine[start : start + 1], next_page_token=token)

    def CreateRule(self, request: pb.CreateRuleRequest, context: Any) -> pb.CreateRuleResponse:
        self._take(request, context)
        return pb.CreateRuleResponse(rule=self._keep(request.rule))

    def UpdateRule(self, request: pb.UpdateRuleRequest, context: Any) -> pb.UpdateRuleResponse:
        self._take(request, context)
        return pb.UpdateRuleResponse(rule=self._keep(request.rule))

    def DeleteRule(self, request: pb.DeleteRuleRequest, context: Any) -> pb.DeleteRuleResponse:
        self._take(request, context)
        self._known(request.name, context)
        del self.own[request.name]
        return pb.DeleteRuleResponse()

    def PauseRule(self, request: pb.PauseRuleRequest, context: Any) -> pb.PauseRuleResponse:
        self._take(request, context)
        known = self._known(request.name, context)
        known.paused = request.paused
        return pb.PauseRuleResponse(rule=known)

    def ApplyRules(self, request: pb.ApplyRulesRequest, context: Any) -> pb.ApplyRulesResponse:
        self._take(request, context)
        if request.expected_state and (self.meddled or request.expected_state != self._state()):
            fail(context, grpc.StatusCode.ABORTED, "RULES_CHANGED", "look again")
        response = pb.ApplyRulesResponse(state=self._state())
        asked = {str(one["id"]): one for one in request.documents}
        gone = set(self.own) - set(asked) if request.prune else set()
        for name in sorted({*asked, *gone}):
            response.changes.append(self._change(name, asked.get(name)))
        if not request.validate_only:
            for change in response.changes:
                if change.HasField("after"):
                    self._keep(change.after)
                else:
                    del self.own[change.before.name.rpartition("/")[2]]
        return response

    def TestRule(self, request: pb.TestRuleRequest, context: Any) -> pb.TestRuleResponse:
        self._take(request, context)
        return self.answer

    def BacktestRule(
        self, request: pb.BacktestRuleRequest, context: Any
    ) -> Iterator[pb.BacktestRuleResponse]:
        self._take(request, context)
        yield from self.states

    def ListFindings(
        self, request: pb.ListFindingsRequest, context: Any
    ) -> pb.ListFindingsResponse:
        self._take(request, context)
        found = list(self.found.values())
        start = int(request.page_token or 0)
        token = str(start + 1) if start + 1 < len(found) else ""
        return pb.ListFindingsResponse(findings=found[start : start + 1], next_page_token=token)

    def LabelFinding(
        self, request: pb.LabelFindingRequest, context: Any
    ) -> pb.LabelFindingResponse:
        self._take(request, context)
        found = self.found[request.name.rpartition("/")[2]]
        if request.HasField("right"):
            found.label.right = request.right
        else:
            found.ClearField("label")
        return pb.LabelFindingResponse(finding=found)

    def add_finding(self, name: str, **fields: Any) -> None:
        """Keeps a finding by the end of its name."""
        finding = common_pb2.Finding(rule="cards", category="pii.credit_card", score=0.9, **fields)
        self.found[name] = pb.StoredFinding(
            name=f"{FINDINGS}/{name}", trace_id="1" * 32, finding=finding
        )

    def _take(self, request: Any, context: grpc.ServicerContext) -> None:
        check_key(context)
        kept = type(request)()
        kept.CopyFrom(request)
        self.requests.append(kept)
        if self.failures:
            code, reason, message = self.failures.popleft()
            fail(context, code, reason, message)

    def _known(self, name: str, context: grpc.ServicerContext) -> pb.GuardrailRule:
        found = self.own.get(name, self.house if name == "pii" else None)
        if found is None:
            fail(context, grpc.StatusCode.NOT_FOUND, "RULE_NOT_FOUND", "There is no such rule.")
        assert found is not None
        return found

    def _keep(self, one: pb.GuardrailRule) -> pb.GuardrailRule:
        made = rule(dict(one.document.items()), paused=one.paused)
        made.update_time.FromSeconds(1_700_000_000 + len(self.past))
        self.own[str(one.document["id"])] = made
        self.past.append(made)
        return made

    def _change(self, name: str, document: Any) -> pb.RuleChange:
        before = self.own.get(name)
        if document is None:
            return pb.RuleChange(kind=pb.RULE_CHANGE_KIND_DELETED, before=before)
        after = rule(dict(document.items()), paused=before.paused if before else False)
        kind = pb.RULE_CHANGE_KIND_UPDATED
        if before is None:
            kind = pb.RULE_CHANGE_KIND_CREATED
            before = self.house if name == "pii" else None
        elif before.document == after.document:
            kind = pb.RULE_CHANGE_KIND_UNCHANGED
        return pb.RuleChange(kind=kind, before=before, after=after, warnings=self.warnings)

    def _state(self) -> str:
        return f"s{len(self.past)}-{len(self.own)}"
