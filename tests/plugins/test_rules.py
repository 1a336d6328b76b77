import pytest

from bartizan.guardrails import default_rules
from bartizan.plugins.decision import Verdict
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.rules import OnFailure, Redaction, Stage, load_rules


def message(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_rules(text, "rules.yaml")
    return caught.value.message


def test_defaults() -> None:
    [rule] = load_rules("rules: [{id: a, plugin: pii}]")
    assert (rule.stage, rule.shadow, rule.threshold) == (Stage.INLINE, False, 0.0)
    assert rule.verdict is Verdict.ALLOW
    assert not rule.denies(rule.on_error)


def test_a_redact_rule_denies_when_its_plugin_fails() -> None:
    [rule] = load_rules("rules: [{id: a, plugin: pii, action: redact}]")
    assert rule.denies(rule.on_error)
    assert rule.denies(rule.on_timeout)
    assert not rule.denies(OnFailure.ALLOW)


def test_the_default_rules_redact_what_must_not_be_stored_and_watch_the_rest() -> None:
    rules = load_rules(default_rules())
    enforced = {rule.plugin: rule.verdict for rule in rules if not rule.shadow}
    assert enforced == dict.fromkeys(("pii", "secrets"), Verdict.MODIFY)
    assert {rule.plugin for rule in rules if rule.shadow} == {"toxicity", "injection"}
    assert all(rule.description for rule in rules)


def test_no_rules_is_a_rule_set() -> None:
    assert len(load_rules("")) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{id: a, plugin: pii, acton: flag}]", "'rules[0].acton' is not a known key (did"),
        ("rules: [{id: a, plugin: p, where: {role: [user]}}]", "did you mean 'roles'"),
        ("rules: [{id: a, plugin: p, threshold: 2}]", "'rules[0].threshold'"),
        ("rules: [{id: A b, plugin: p}]", "'rules[0].id'"),
        ("rules: [{plugin: p}]", "'rules[0].id' is required"),
        ("rules: [{id: a, plugin: p}, {id: a, plugin: p}]", "two rules have the id 'a'"),
        ("rules: [{id: a, plugin: p, action: redact, stage: deferred}]", "can only flag"),
        ("rules: [", "line 1: this is not YAML"),
        ("- a", "must be a mapping"),
    ],
)
def test_a_wrong_document_is_refused(text: str, said: str) -> None:
    assert said in message(text)


def test_the_version_follows_the_content() -> None:
    one, other, same = (
        next(iter(load_rules(f"rules: [{{id: a, plugin: p, threshold: {threshold}}}]"))).version
        for threshold in ("0.5", "0.6", "0.50")
    )
    assert one == same != other


def test_the_longest_category_prefix_decides_the_redaction() -> None:
    [rule] = load_rules(
        "rules: [{id: a, plugin: p, action: redact, redaction_by_category:"
        " {pii: drop, pii.email_address: hash}}]"
    )
    assert rule.redaction_of("pii.email_address") is Redaction.HASH
    assert rule.redaction_of("pii.us_ssn") is Redaction.DROP
    assert rule.redaction_of("secret.key") is Redaction.MASK
