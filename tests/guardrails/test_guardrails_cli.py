import io
import json
import sys

import pytest

from bartizan.guardrails.__main__ import main


class Input:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
    *arguments: str,
) -> tuple[int, list[dict[str, object]], str]:
    monkeypatch.setattr(sys, "stdin", Input(data))
    code = main(["score", *arguments])
    told = capsys.readouterr()
    return code, [json.loads(line) for line in told.out.splitlines()], told.err


def test_each_line_gets_its_answer_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"text": f"u{place}@example.com" if place % 2 else "none"} for place in range(600)]
    lines[0]["role"] = "system"
    data = "\n".join(map(json.dumps, lines)).encode()
    code, answers, _ = run(monkeypatch, capsys, data, "pii")
    assert code == 0
    assert [answer["score"] for answer in answers] == [0.0, 1.0] * 300
    assert answers[1]["findings"] == [
        {"category": "pii.email_address", "score": 1.0, "start": 0, "end": 14}
    ]
    assert answers[0] == {"score": 0.0, "findings": []}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"text": "a"}\n{"text": 1}\n', "line 2: this must be an object with a string 'text'"),
        (b'{"text": "a"}\nsecret\n', "line 2: this is not JSON"),
        (b"\xff\n", "line 1: this is not JSON"),
        (b"[" * 100_000, "line 1: this is not JSON"),
        (b'{"text": "a", "role": "usr"}', "line 1: 'role' must be one of"),
        (b'{"text": "a", "role": ["user"]}', "line 1: 'role' must be one of"),
    ],
)
def test_a_bad_line_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: bytes, said: str
) -> None:
    code, _, told = run(monkeypatch, capsys, data, "pii")
    assert code == 2
    assert said in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pi"], "did you mean 'pii'"),
        (["pii", "--config", '{"entitiez": {}}'], "did you mean 'entities'"),
        (["pii", "--config", "x"], "--config must be a JSON object"),
    ],
)
def test_bad_usage_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    code, _, told = run(monkeypatch, capsys, b"", *arguments)
    assert code == 2
    assert said in told


def test_the_configuration_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = '{"entities": {"EMAIL_ADDRESS": {"enabled": false}}}'
    data = b'{"text": "jane@example.com"}'
    assert run(monkeypatch, capsys, data, "pii", "--config", config)[1] == [
        {"score": 0.0, "findings": []}
    ]
