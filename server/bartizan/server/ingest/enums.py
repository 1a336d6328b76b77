"""The numbers that the contract and the tables have for the words of plugins."""

from bartizan.plugins.decision import Action, Severity, Verdict
from bartizan.v1 import common_pb2

VERDICTS = {
    Verdict.ALLOW: common_pb2.VERDICT_ALLOW,
    Verdict.DENY: common_pb2.VERDICT_DENY,
    Verdict.MODIFY: common_pb2.VERDICT_MODIFY,
}
ACTIONS = {
    Action.FLAG: common_pb2.ACTION_FLAG,
    Action.REDACT: common_pb2.ACTION_REDACT,
    Action.BLOCK: common_pb2.ACTION_BLOCK,
}
SEVERITIES = {
    Severity.INFO: common_pb2.SEVERITY_INFO,
    Severity.LOW: common_pb2.SEVERITY_LOW,
    Severity.MEDIUM: common_pb2.SEVERITY_MEDIUM,
    Severity.HIGH: common_pb2.SEVERITY_HIGH,
    Severity.CRITICAL: common_pb2.SEVERITY_CRITICAL,
}
