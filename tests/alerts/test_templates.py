"""Templates: useful, and bounded whatever somebody writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.alerting_support import START

from bartizan.alerts.templates import MAX_TEXT, render, template_problem, variables_of

NAMES = variables_of(["agent"])
VALUES = {
    "rule": "r", "value": 0.0512345678, "threshold": 0.05, "samples": 1234, "severity": "critical",
    "labels": {"agent": "shop", "project": "p"}, "starts_at": START, "expected": None,
    "unit": "ratio", "reason": "THRESHOLD_BREACHED",
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ rule }} on {{ labels.agent }}", "r on shop"),
        ("{{ labels['agent'] }}{{ labels.environment }}", "shop"),
        ("{{ value }}", "0.0512346"),
        ("{{ value | percent }} > {{ threshold|percent(0) }}", "5.1 % > 5 %"),
        ("{{ value|round(2) }}", "0.05"),
        ("{{ value|with_unit(unit) }}", "5.1 %"),
        ("{{ (value * 100)|round(1) }}", "5.1"),
        ("{{ expected }}, {{ expected|percent }}, {{ expected|default('-') }}",
         "no data, no data, -"),
        ("{% if severity == 'critical' %}now{% else %}later{% endif %}", "now"),
        ("{{ 'many' if samples > 1000 else 'few' }}", "many"),
        ("{{ starts_at }}", "2026-03-02 12:00:00 UTC"),
        ("{{ 90|duration }} {{ 0.5|duration }}", "1m30s 500ms"),
        ("no braces", "no braces"),
    ],
)  # fmt: skip
def test_makes_texts(template: str, text: str) -> None:
    assert template_problem(template, NAMES) is None
    assert render(template, VALUES) == text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ valeu }}", "there is no variable 'valeu' (did you mean 'value'?)"),
        ("{{ labels.agnet }}", "there is no label 'agnet' (did you mean 'agent'?)"),
        ("{{ labels['agnet'] }}", "did you mean 'agent'?"),
        ("{{ value|precent }}", "there is no filter 'precent' (did you mean 'percent'?)"),
        ("{% for x in labels %}x{% endfor %}", "a template has no loops"),
        ("{% set x = 1 %}", "a template has no assignments"),
        ("{% macro x() %}{% endmacro %}", "a template has no macros"),
        ("{{ range(10) }}", "a template has no calls"),
        ("{{ rule.upper() }}", "a template has no calls"),
        ("{{ labels.items() }}", "a template has no calls"),
        ("{{ labels[rule] }}", "a label is named as in"),
        ("{{ rule.__class__.__mro__ }}", "only 'labels' has parts"),
        ("{% include 'x' %}", "a template has no includes"),
        ("{{ 9**9**9 }}", "a template has no powers"),
        ("{{ '%1000000000d' % 1 }}", "a template has no '%'"),
        ("{{ [1] }}", "a template has no list"),
        ("{{ value", "is not a template"),
        ("{{ " + "(" * 900 + "1" + ")" * 900 + " }}", "nested too deeply"),
        ("{{ " + "not " * 450 + "1 }}", "too large or nested too deeply"),
        ("{{ 1 " + "+1" * 500 + " }}", "too large or nested too deeply"),
        ("x" * 2_001, "2000 characters at most"),
        ("{{ value is divisibleby 3 }}", "there is no test 'divisibleby'"),
        ("{{ value | }}", "is not a template"),
    ],
)
def test_refuses(template: str, said: str) -> None:
    problem = template_problem(template, NAMES)
    assert problem is not None
    assert said in problem


@pytest.mark.parametrize(
    "template",
    ["{{ 'a' * 999999999 }}", "{{ rule * 999999999 }}", "{{ value / 0 }}", "{{ rule + 1 }}",
     "{{ expected * 2 }}", "{{ threshold|round(value) }}", "{{ metric }}"],
)  # fmt: skip
def test_what_fails_says_so_and_harms_nothing(template: str) -> None:
    if template_problem(template, NAMES) is None:
        assert render(template, VALUES).startswith("This text could not be made (")


def test_a_text_is_bounded() -> None:
    long = {**VALUES, "labels": {"agent": "x" * 10_000}}
    template = "{{ labels.agent }}" * 100
    assert template_problem(template, NAMES) is None
    assert len(render(template, long)) == MAX_TEXT
    assert len(render("{{ labels.agent }}", long)) == 200
    assert len(render("{{ 1|round(999999999) }}", long)) < 20


def test_labels_cannot_start_a_line() -> None:
    values = {**VALUES, "labels": {"agent": "x\r\nBcc: a@b\x00\u2028"}}
    assert render("{{ labels.agent }}", values) == "x  Bcc: a@b  "


@given(st.text(alphabet="{}%|()[]'\" .0123456789abelrsuv*+-/~<>=!_", max_size=60))
def test_whatever_is_taken_is_short(text: str) -> None:
    if template_problem("{{" + text + "}}", NAMES) is None:
        assert len(render("{{" + text + "}}", VALUES)) <= MAX_TEXT
