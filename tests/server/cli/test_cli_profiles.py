"""A profile is stored when the server knows its key, and commands find the server by it."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.client.fake_ingest import KEY
from tests.server.cli.conftest import Command, Done
from tests.server.cli.fake_server import PROJECT, FakeServer

from bartizan.server.cli.connection import choose
from bartizan.server.cli.options import Server
from bartizan.server.cli.profile_file import Profile, Profiles, save


@pytest.fixture
def login(bartizan: Command, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Logs in with a key on standard input, the right one unless another is told."""

    def run(*arguments: object, key: str = KEY) -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{key}\n"))
        return bartizan("login", "--endpoint", server.endpoint, *arguments)

    return run


def test_a_login_is_used_from_then_on(
    login: Command, bartizan: Command, server: FakeServer, config_file: Path
) -> None:
    done = login()
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"The key of {PROJECT}, for ingest, read; the server is Bartizan 0.1.0.\n"
        f"Stored as profile default in {config_file}; it is the current one now.\n"
    )
    assert KEY not in done.out
    assert bartizan("traces").out == "No traces match.\n"


def test_a_login_for_programs(login: Command, server: FakeServer) -> None:
    (told,) = login("--profile", "lab", "--json").lines
    assert (told["profile"], told["endpoint"]) == ("lab", server.endpoint)
    assert (told["project"], told["scopes"]) == (PROJECT, ["ingest", "read"])
    assert told["server_version"] == "0.1.0"


@pytest.mark.parametrize("key", ["btz_wrong", "", "two words"])
def test_nothing_is_stored_for_a_wrong_key(login: Command, config_file: Path, key: str) -> None:
    done = login(key=key)
    assert done.code in (1, 2)
    assert done.err.count("\n") == 1
    assert "btz_wrong" not in done.err
    assert not config_file.exists()


def test_nothing_is_stored_without_a_server(
    bartizan: Command, monkeypatch: pytest.MonkeyPatch, config_file: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY))
    done = bartizan("login", "--endpoint", "127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert "No server answers" in done.err
    assert not config_file.exists()


@pytest.mark.parametrize("name", ["a b", "-x", "ä", "x" * 65])
def test_a_profile_s_name_is_plain(login: Command, name: str) -> None:
    done = login(f"--profile={name}")
    assert (done.code, done.out) == (2, "")
    assert "A profile's name has" in done.err


def test_the_environment_that_wins_is_told(login: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_API_KEY", "btz_other")
    done = login("--profile", "lab")
    assert "BARTIZAN_API_KEY is set and wins over the profile" in done.err
    assert "btz_other" not in done.err


def test_profiles_are_listed_and_chosen(login: Command, bartizan: Command) -> None:
    assert bartizan("profiles").out == "There are no profiles; 'bartizan login' makes one.\n"
    login("--profile", "lab")
    login("--profile", "prod")
    head, lab, prod = bartizan("profiles").out.splitlines()
    assert head.split() == ["Name", "Server", "TLS"]
    assert lab.split()[0] == "lab"
    assert prod.split()[:2] == ["*", "prod"]
    assert bartizan("profiles", "use", "lab").code == 0
    listed = bartizan("profiles", "--json")
    assert [one["current"] for one in listed.lines] == [True, False]
    assert KEY not in listed.out
    unknown = bartizan("profiles", "use", "labb")
    assert unknown.code == 2
    assert "there are lab, prod" in unknown.err


def test_a_logout_forgets_the_key(login: Command, bartizan: Command, config_file: Path) -> None:
    login("--profile", "lab")
    assert "Forgot the profile lab." in bartizan("logout").out
    assert KEY not in config_file.read_text()
    assert "No profile is current" in bartizan("logout").err
    assert bartizan("logout", "--profile", "lab").code == 2


def test_an_unknown_profile_is_told(bartizan: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bartizan("traces", "--profile", "nope")
    assert (done.code, done.out) == (2, "")
    assert "There is no profile 'nope'; there are none." in done.err
    monkeypatch.setenv("BARTIZAN_PROFILE", "nope")
    assert bartizan("traces").code == 2


def test_a_config_file_that_is_damaged_is_told(bartizan: Command, config_file: Path) -> None:
    config_file.parent.mkdir()
    config_file.touch(0o600)
    config_file.write_text('current = "a"\n[profiles.a\n')
    done = bartizan("traces")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"The config file {config_file} is not TOML in line 2." in done.err


@pytest.mark.usefixtures("bartizan")
class TestChoice:
    """Options win over the environment, and that over the profile."""

    A = Profile("a:1", "key_a", "ca_a", "cert_a", "pem_a")
    B = Profile("b:2", "key_b")

    @pytest.fixture(autouse=True)
    def profiles(self, bartizan: Command) -> None:
        save(Profiles("a", {"a": self.A, "b": self.B}))

    def test_the_current_profile_holds(self) -> None:
        assert choose(Server()) == self.A

    def test_a_named_one_wins_over_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BARTIZAN_PROFILE", "b")
        assert choose(Server()) == self.B
        assert choose(Server(profile="a")) == self.A

    def test_the_environment_wins_over_the_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BARTIZAN_API_KEY", "key_e")
        assert choose(Server()).api_key == "key_e"
        assert choose(Server(profile="a")).api_key == "key_a", "what is named is meant"
        assert choose(Server(profile="a", api_key="key_o")).api_key == "key_o"

    def test_a_key_goes_to_no_other_server_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert choose(Server(endpoint="c:3")) == Profile("c:3")
        assert choose(Server(endpoint="c:3", profile="a")).api_key == "key_a"
        assert choose(Server(endpoint="a:1")) == self.A
        monkeypatch.setenv("BARTIZAN_ENDPOINT", "c:3")
        assert choose(Server()) == Profile("c:3")

    def test_a_certificate_and_its_key_come_together(self) -> None:
        chosen = choose(Server(profile="a", cert_file="cert_o"))
        assert (chosen.ca_file, chosen.cert_file, chosen.key_file) == ("ca_a", "cert_o", "")

    def test_no_file_is_read_when_all_is_told(self, config_file: Path) -> None:
        config_file.write_text("damaged")
        assert choose(Server(endpoint="c:3", api_key="key_o")) == Profile("c:3", "key_o")


def test_a_person_is_asked_and_the_key_not_shown(server: FakeServer, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    script = str(Path(sys.executable).with_name("bartizan"))
    environment = {**os.environ, "BARTIZAN_CONFIG": str(tmp_path / "config.toml")}
    environment.pop("BARTIZAN_ENDPOINT", None)
    with subprocess.Popen(
        [script, "login", "--profile", "lab"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = read_until(ours, b"Endpoint [localhost:4317]: ")
        os.write(ours, f"{server.endpoint}\n".encode())
        shown += read_until(ours, b"API key: ")
        os.write(ours, f"{KEY}\n".encode())
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, shown
    assert b"Stored as profile lab" in out
    assert KEY.encode() not in shown + out
    assert KEY in (tmp_path / "config.toml").read_text()


def read_until(terminal: int, end: bytes) -> bytes:
    read = b""
    while not read.endswith(end):
        read += os.read(terminal, 1024)
    return read


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"_BARTIZAN_COMPLETE": "complete_bash", "COMP_CWORD": "3",
          "COMP_WORDS": "bartizan traces --profile l"}, "lab\nlocal"),
        ({"_BARTIZAN_COMPLETE": "complete_zsh",
          "_TYPER_COMPLETE_ARGS": "bartizan profiles use lo"}, "_arguments '*: :((\"local\"))'"),
        ({"_BARTIZAN_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
          "_TYPER_COMPLETE_ARGS": "bartizan logout --profile l"}, "lab\nlocal"),
        ({"_BARTIZAN_COMPLETE": "complete_bash", "COMP_CWORD": "1",
          "COMP_WORDS": "bartizan expo"}, "export"),
    ],
    ids=["bash", "zsh", "fish", "command"],
)  # fmt: skip
def test_shells_complete_profiles(tmp_path: Path, variables: dict[str, str], expected: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[profiles.lab]\n[profiles.local]\n[profiles.prod]\n")
    script = str(Path(sys.executable).with_name("bartizan"))
    environment = {**os.environ, "BARTIZAN_CONFIG": str(config), **variables}
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (expected, "")
