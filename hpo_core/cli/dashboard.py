"""`hpo dashboard`: optuna-dashboard over a storage, read-only and on this machine only.

A SQLite file is opened in SQLite's own read-only mode, so that not even a mistake in the dashboard can change a study
while it is only being looked at; `hpo_core.cli.guard` keeps other web pages out.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Storage
from hpo_core.cli.guard import Application, Guard
from hpo_core.cli.looking import Looking
from hpo_core.errors import StorageError, UsageError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

    from hpo_core.storage.artifacts import Artifacts

EVERYWHERE = "0.0.0.0"
"""What a container listens at: its own loopback cannot be published. Requests must ask for a loopback all the same."""


def dashboard(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[
        str, typer.Option(help="The address of this machine to listen at: a loopback one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8080,
    write: Annotated[
        bool, typer.Option("--write", help="Let the pages change studies: notes, names, deletion.")
    ] = False,
    container: Annotated[
        bool,
        typer.Option(
            "--container",
            help="Listen at all addresses of a container whose port is published as 127.0.0.1:PORT:PORT.",
        ),
    ] = False,
) -> None:
    """Look at studies in a web browser, through optuna-dashboard."""
    check_loopback(host)
    host = EVERYWHERE if container else host
    with bind(
        host, port
    ) as server:  # before the imports, which take seconds: a busy port is said at once
        try:
            _serve(server, host, storage, write)
        except KeyboardInterrupt:
            print("dashboard ended", file=sys.stderr)


def _serve(server: Server, host: str, storage: str, write: bool) -> None:
    server.set_app(guarded(application(storage, write), server, write))
    mode = "changes allowed" if write else "read-only"
    shown = "127.0.0.1" if host == EVERYWHERE else host
    address = f"http://{authority(shown, server.server_port)}/dashboard"
    print(f"{address}  ({mode}, Ctrl-C ends it)", file=sys.stderr, flush=True)
    server.serve_forever()


def check_loopback(host: str) -> None:
    """Raise UsageError unless only this machine can reach `host`."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"--host {host}: the dashboard asks nobody who they are, so it listens on this machine only: "
            f"127.0.0.1, ::1 or localhost. From elsewhere, use a tunnel: ssh -L 8080:127.0.0.1:8080 HOST"
        )


class Server(ThreadingMixIn, WSGIServer):
    """One thread for each request, since a page asks for several things at once; none outlives the process."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), QuietHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away in the middle of an answer; that is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class QuietHandler(WSGIRequestHandler):
    """Requests are not worth a line each: errors still are."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Called by the server after each request."""


def bind(host: str, port: int) -> Server:
    """A server that holds its port and serves nothing yet. Raises UsageError when it cannot have the port."""
    try:
        return Server(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} is taken by another program: choose another with --port, or --port 0 for any"
            ) from error
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror}") from error


def guarded(application: Application, server: Server, write: bool) -> Guard:
    """The application behind the guard, reachable under every name of this machine's own loopback."""
    names = {"127.0.0.1", "localhost", "::1", str(server.server_address[0])} - {EVERYWHERE}
    hosts = {authority(name, server.server_port) for name in names}
    if server.server_port == 80:  # browsers leave it out
        hosts |= {host.removesuffix(":80") for host in hosts}
    return Guard(application if write else Looking(application), frozenset(hosts), write)


def authority(host: str, port: int) -> str:
    """Host and port as a URL and the Host header have them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def application(storage: str, write: bool = False) -> Application:
    """optuna-dashboard over a storage. Takes seconds: it imports a great deal. Raises StorageError."""
    opened = open_storage(storage, write)
    import optuna_dashboard  # type: ignore[import-untyped]

    served: Application = optuna_dashboard.wsgi(opened, _artifacts(opened))
    return served


def _artifacts(opened: RDBStorage) -> Artifacts | None:
    """The files that studies have beside the database; None where the studies are not ours."""
    from sqlalchemy import inspect, select

    from hpo_core.storage.artifacts import Artifacts
    from hpo_core.storage.tables import hpo_studies

    if not inspect(opened.engine).has_table(hpo_studies.name):
        return None

    def folders() -> list[Path]:
        with opened.engine.connect() as connection:
            return list(map(Path, connection.execute(select(hpo_studies.c.directory)).scalars()))

    return Artifacts(folders)


def open_storage(storage: str, write: bool) -> RDBStorage:
    """Optuna's storage over a database that is there; nothing is created or changed in it. Raises StorageError."""
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    from hpo_core.references import resolve
    from hpo_core.storage.database import display, sqlite_path

    path = sqlite_path(storage)
    if path is not None and not path.is_file():
        raise StorageError(
            f"there is no database at {path}: run a study first, or name another with --storage"
        )
    url = resolve(storage) if path is None or write else _read_only(path)
    try:
        opened = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
        opened.get_all_studies()
    except (SQLAlchemyError, OptunaError, ImportError) as error:
        text = " ".join(str(error.__cause__ or error).split())[:200]
        raise StorageError(f"{display(storage)} holds no studies of Optuna: {text}") from error
    return opened


def _read_only(path: Path) -> str:
    return f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true"
