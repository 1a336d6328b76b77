from pathlib import Path
from typing import Any

import pytest

from bartizan.alerts.notifiers.alertmanager import AlertmanagerConfig
from bartizan.alerts.notifiers.secret import Secret
from bartizan.plugins.config import parse_config
from bartizan.plugins.notification import Cause, Permanent

SECRET = "planted-19bd"


def secret(environ: dict[str, str] | None = None, **document: Any) -> Secret:
    config = parse_config(AlertmanagerConfig, {"url": "https://a.example", **document}, "channel")
    return Secret(config, "authorization", environ or {})


def test_three_places(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f" {SECRET}\n")
    assert secret(authorization=SECRET).reveal() == SECRET
    assert secret(authorization_file=str(file)).reveal() == SECRET
    assert secret({"A": SECRET}, authorization_env="A").reveal() == SECRET
    assert not secret().is_set
    assert SECRET not in repr(secret(authorization=SECRET))


@pytest.mark.parametrize("held", [b"", b"\n", b"a\nb", b"a\x00b", b"\xff\xfe", "\u00e4".encode()])
def test_what_cannot_be_sent_in_a_header(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(held)
    with pytest.raises(Permanent) as raised:
        secret(authorization_file=str(file)).reveal()
    assert raised.value.cause is Cause.AUTH
    assert raised.value.__context__ is None


def test_what_is_not_there(tmp_path: Path) -> None:
    places: tuple[dict[str, Any], ...] = (
        {"authorization_file": str(tmp_path)},
        {"authorization_env": "MISSING"},
    )
    for given in places:
        with pytest.raises(Permanent) as raised:
            secret(**given).reveal()
        assert str(tmp_path) not in str(raised.value)


def test_other_alphabets_where_they_are_allowed() -> None:
    assert secret(authorization="p\u00e4ss").reveal(ascii_only=False) == "p\u00e4ss"
