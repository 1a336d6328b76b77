"""Bad usage, configuration and rules: exit code 2 and one sentence that says what is wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers import bartizan, refusal, unjudged
from tests.support.serving import Serving

NO_SERVER = ("--endpoint", "127.0.0.1:9", "--api-key", "none")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server, for its database."""
    with unjudged(tmp_path_factory.mktemp("refusals")) as serving:
        yield serving


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--grpc-listen", "nowhere"], "HOST:PORT"),
        (["serve", "--http-listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["serve", "--workers", "0"], "workers"),
        (["serve", "--workers", "many"], "--workers"),
        (["serve", "--database-url", "mysql://x"], "postgresql://"),
        (["serve", "--datadir", "x"], "--datadir"),
        (["serve", "--config", "absent.yaml"], "absent.yaml"),
        (["traces", "--limit", "0", *NO_SERVER], "--limit"),
        (["traces", "--since", "yesterdayish", *NO_SERVER], "yesterdayish"),
        (["traces", "--endpoint", "no port"], "HOST:PORT"),
        (["trace"], "ID"),
        (["send", "absent.ndjson", *NO_SERVER], "absent.ndjson"),
        (["tarces"], "tarces"),
    ],
    ids=" ".join,
)
def test_bad_usage(arguments: list[str], said: str) -> None:
    assert said in refusal(*arguments)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("grpc_listn: 127.0.0.1:0", "unknown key grpc_listn; did you mean grpc_listen?"),
        ("limits: {queue_byte: 1MiB}", "limits.queue_byte; did you mean queue_bytes?"),
        ("limits: {queue_bytes: much}", "limits.queue_bytes"),
        ("shutdown_grace: 5", "unit"),
        ("- a list", "keys and values"),
        ("a: [", "not YAML in line"),
    ],
)
def test_bad_config(tmp_path: Path, config: str, said: str) -> None:
    file = tmp_path / "bartizan.yaml"
    file.write_text(config)
    assert said in refusal("serve", "--config", str(file), "--data-dir", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists(), "nothing was started"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("BARTIZAN_GRPC_LISTN", "did you mean BARTIZAN_GRPC_LISTEN?"),
        ("BARTIZAN_LIMITS__QUEUE_BYTE", "did you mean BARTIZAN_LIMITS__QUEUE_BYTES?"),
        ("BARTIZAN_LIMITS_QUEUE_BYTES", "did you mean BARTIZAN_LIMITS__QUEUE_BYTES?"),
    ],
)
def test_unknown_variables(name: str, said: str) -> None:
    assert said in refusal("serve", **{name: "1"})


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("rules: [{id: x, plugin: pi, action: redact}]", "pi"),
        ("rules: [{id: x, plugin: pii, action: redact, treshold: 1}]", "treshold"),
        ("rulez: []", "rulez"),
        ("rules: [", "YAML"),
    ],
)
def test_bad_rules(serving: Serving, tmp_path: Path, rules: str, said: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(rules)
    sentence = refusal(
        "serve", "--rules", str(file), "--data-dir", str(tmp_path / "data"),
        "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
        "--database-url", serving.database_url,
    )  # fmt: skip
    assert said in sentence


def test_what_may_work_later_is_no_bad_usage() -> None:
    done = bartizan("traces", "--json", *NO_SERVER)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
