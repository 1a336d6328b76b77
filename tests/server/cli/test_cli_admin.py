"""Keys and projects."""

from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import PROJECT, FakeServer

NAME = f"{PROJECT}/apiKeys/1"


def test_a_key_s_life(online: Command, server: FakeServer) -> None:
    made = online("keys", "create", "--scope", "ingest", "--scope", "read", "--name", "web")
    assert made.out.splitlines()[:2] == [NAME, "btz_secret"]
    assert "ingest, read" in online("keys", "list").out
    (turned,) = online("keys", "rotate", NAME, "--overlap", "1h", "--json").lines
    assert turned["secret"] == "btz_rotated"
    assert turned["api_key"]["expire_time"] == "2023-11-14T23:13:20Z"
    assert online("keys", "revoke", NAME).out == f"Revoked {NAME}.\n"
    (listed,) = online("keys", "list", "--json").lines
    assert listed["scopes"] == ["SCOPE_INGEST", "SCOPE_READ"]
    assert "revoke_time" in listed
    assert "revoked 2023-11-1" in online("keys", "list").out


def test_a_key_can_end_by_itself(online: Command, server: FakeServer) -> None:
    (made,) = online("keys", "create", "--scope", "read", "--expires-in", "90d", "--json").lines
    assert made["secret"] == "btz_secret"
    assert server.admin.keys[NAME].HasField("expire_time")


def test_a_project_s_life(online: Command) -> None:
    (made,) = online("projects", "create", "shop", "--retention", "90d", "--json").lines
    assert made["retention"] == "7776000s"
    name = made["name"]
    (changed,) = online("projects", "update", name, "--max-spans-per-second", 0, "--name", "Shop",
                        "--json").lines  # fmt: skip
    assert (changed["display_name"], changed["retention"]) == ("Shop", "7776000s")
    assert "no limit" in online("projects", "list").out
    assert "90 d" in online("projects", "get", name).out


def test_no_projects_is_a_sentence(online: Command) -> None:
    assert online("projects", "list").out == "There are no projects.\n"
