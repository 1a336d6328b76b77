"""Where a setting comes from, and what is refused."""

import os
import pickle
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.plugins.errors import ConfigError
from bartizan.server.config import Address, Settings, parse_address
from bartizan.server.config_sources import load, variables


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("BARTIZAN_"):
            monkeypatch.delenv(name)


def yaml(folder: Path, text: str) -> Path:
    file = folder / "bartizan.yaml"
    file.write_text(text)
    return file


def refusal(file: Path | None = None, **options: object) -> str:
    with pytest.raises(ConfigError) as raised:
        load(file, options)
    return raised.value.message


def test_defaults_listen_on_loopback_only() -> None:
    settings = load(None, {})
    assert settings.grpc_listen == Address("127.0.0.1", 4317)
    assert settings.http_listen.is_loopback
    assert settings.data_dir == Path.home() / ".local/share/bartizan"
    assert settings.database_url is None
    assert settings.limits.queue_bytes == 32 * 1024 * 1024
    assert settings.grpc.max_connection_age == timedelta(minutes=30)


def test_options_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = yaml(
        tmp_path,
        "workers: 2\nshutdown_grace: 5s\nlog: {level: debug}\n"
        "limits: {queue_bytes: 32MiB, group_spans: 100, stream_in_flight: 3}\n",
    )
    monkeypatch.setenv("BARTIZAN_WORKERS", "3")
    monkeypatch.setenv("BARTIZAN_LIMITS__GROUP_SPANS", "200")
    monkeypatch.setenv("BARTIZAN_HTTP_LISTEN", "127.0.0.1:1")
    settings = load(file, {"workers": None, "http_listen": "127.0.0.1:2"})
    assert settings.workers == 3
    assert settings.http_listen.port == 2
    assert settings.shutdown_grace == timedelta(seconds=5)
    assert settings.log.level == "debug"
    assert settings.limits.group_spans == 200
    assert settings.limits.stream_in_flight == 3
    assert settings.limits.queue_bytes == 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("worker: 2", "unknown key worker; did you mean workers?"),
        ("limits: {queue_byte: 1}", "unknown key limits.queue_byte; did you mean queue_bytes?"),
        ("xyz: 1", "unknown key xyz; there are: auth,"),
        ("- a", "must hold keys and values"),
        ("a: [", "is not YAML in line 1"),
        ("limits: 5", "setting limits is wrong"),
        ("shutdown_grace: 20", 'must carry a unit, for example "30s"'),
        ("grpc_listen: 4317", "setting grpc_listen is wrong"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(yaml(tmp_path, text))


def test_an_empty_file_is_fine(tmp_path: Path) -> None:
    assert load(yaml(tmp_path, "# nothing yet\n"), {}) == load(None, {})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BARTIZAN_WORKRES", "2", "BARTIZAN_WORKRES is unknown; did you mean BARTIZAN_WORKERS?"),
        ("BARTIZAN_TLS__CERT", "x", "did you mean BARTIZAN_TLS__"),
        ("bartizan_grpc_lsten", "x", "did you mean BARTIZAN_GRPC_LISTEN?"),
        ("BARTIZAN_WORKERS", "many", "setting workers is wrong"),
        ("BARTIZAN_DATABASE_URL", "mysql://me:secret@db", "must begin with postgresql://"),
        ("BARTIZAN_LOG__LEVEL", "loud", "setting log.level is wrong"),
    ],
)
def test_a_wrong_variable_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    message = refusal()
    assert sentence in message
    assert "secret" not in message


def test_variables_of_clients_and_tests_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BARTIZAN_API_KEY", "BARTIZAN_ENDPOINT", "BARTIZAN_TEST_DATABASE_URL"):
        monkeypatch.setenv(name, "x")
    load(None, {})


def test_every_setting_has_its_variable() -> None:
    names = set(variables())
    assert {"BARTIZAN_DATABASE_URL_FILE", "BARTIZAN_GRPC__REFLECTION"} <= names
    assert "BARTIZAN_GRPC" not in names


@pytest.mark.parametrize(
    ("tls", "sentence"),
    [
        ({"cert_file": "a"}, "cert_file and key_file belong together"),
        ({"key_file": "a"}, "cert_file and key_file belong together"),
        ({"client_ca_file": "a"}, "client_ca_file needs cert_file and key_file"),
    ],
)
def test_tls_is_whole_or_off(tls: dict[str, str], sentence: str) -> None:
    assert sentence in refusal(tls=tls)


@pytest.mark.parametrize("listen", ["0.0.0.0:4317", "[::]:4317", "traces.example.com:4317"])
def test_without_authentication_it_listens_on_loopback_only(listen: str) -> None:
    off = {"enabled": False}
    assert "while auth.enabled is false" in refusal(auth=off, grpc_listen=listen)
    assert "while auth.enabled is false" in refusal(auth=off, http_listen=listen)
    assert load(None, {"auth": off, "grpc_listen": "[::1]:1"}).grpc_listen.host == "::1"
    assert str(load(None, {"grpc_listen": listen}).grpc_listen) == listen


def test_a_secret_can_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://me:hidden@db/x\n")
    settings = load(None, {"database_url_file": file})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://me:hidden@db/x"
    assert "hidden" not in repr(settings)
    assert "not both" in refusal(database_url_file=file, database_url="postgresql://db")
    assert "cannot be read" in refusal(database_url_file=tmp_path / "none")


def test_settings_travel_to_other_processes() -> None:
    settings = load(None, {"workers": 4, "grpc_listen": "127.0.0.1:0"})
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_making_settings_by_hand_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_WORKERS", "7")
    assert Settings().workers == 1


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_addresses_are_written_as_they_are_read(host: object, port: int) -> None:
    address = Address(str(host), port)
    assert parse_address(str(address)) == address


@given(st.text())
def test_any_address_is_read_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert isinstance(address, Address)
    assert address.host
