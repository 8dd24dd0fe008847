"""`hpo dashboard`: requests to the real optuna-dashboard over a study of plain Optuna, and the guard alone."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from hpo_core.cli import dashboard, looking
from hpo_core.cli.guard import Environ, Guard, Start
from hpo_core.errors import StorageError, UsageError

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in WAL mode with one study of three trials."""
    path = tmp_path_factory.mktemp("with space") / "plain.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study = optuna.create_study(study_name="plain", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    storage.engine.dispose()
    return path


def serve(database: Path, write: bool) -> Iterator[dashboard.Server]:
    with dashboard.bind("127.0.0.1", 0) as server:
        application = dashboard.application(f"sqlite:///{database}", write)
        server.set_app(dashboard.guarded(application, server, write))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def reading(database: Path) -> Iterator[dashboard.Server]:
    yield from serve(database, write=False)


@pytest.fixture
def writing(database: Path) -> Iterator[dashboard.Server]:
    yield from serve(database, write=True)


def ask(
    server: dashboard.Server, method: str, path: str, body: str | None = None, **headers: str
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_pages_and_trials_are_served(reading: dashboard.Server) -> None:
    status, headers, page = ask(reading, "GET", "/dashboard")
    assert (status, headers["x-content-type-options"]) == (200, "nosniff")
    assert b"<title>" in page
    status, _, body = ask(reading, "GET", "/api/studies/1")
    assert status == 200
    assert [trial["state"] for trial in json.loads(body)["trials"]] == ["Complete"] * 3
    assert ask(reading, "HEAD", "/dashboard")[0] == 200


def test_every_name_of_this_machine_is_let_through(reading: dashboard.Server) -> None:
    for name in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
        assert ask(reading, "GET", "/api/meta", Host=f"{name}:{reading.server_port}")[0] == 200


def test_another_host_name_is_refused(reading: dashboard.Server) -> None:
    for host in (f"evil.example:{reading.server_port}", "127.0.0.1:1", "127.0.0.1", ""):
        assert ask(reading, "GET", "/api/studies", Host=host)[0] == 421, host


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(reading: dashboard.Server, method: str) -> None:
    status, _, body = ask(reading, method, "/api/studies/1")
    assert status == 403
    assert b"--write" in body
    assert ask(reading, "GET", "/api/studies/1")[0] == 200


def test_what_would_be_refused_is_hidden(
    reading: dashboard.Server, writing: dashboard.Server
) -> None:
    for path in ("/dashboard", "/dashboard/studies/1/note"):
        status, headers, page = ask(reading, "GET", path)
        assert (status, int(headers["content-length"])) == (200, len(page))
        assert page.count(looking.STYLE) == 1
        assert "style-src 'self' data: 'unsafe-inline'" in headers["content-security-policy"]
        # or a browser would go on hiding them when the same port is that of a dashboard that may write
        assert headers["cache-control"] == "no-store" and "etag" not in headers
    _, headers, page = ask(writing, "GET", "/dashboard")
    assert b'aria-label="delete study"' not in page
    again = ask(reading, "GET", "/dashboard", If_None_Match=headers["etag"])
    assert again[0] == 200 and looking.STYLE in again[2]


def test_what_is_hidden_is_there(reading: dashboard.Server) -> None:
    """The pages' code still calls them so: a new optuna-dashboard may not."""
    _, _, code = ask(reading, "GET", "/static/bundle.js")
    text = code.decode()
    for name in ("rename study", "delete study", "delete artifact"):
        assert f'"aria-label":"{name}"' in text
    for icon in ("AddBox", "Edit", "UploadFile"):
        assert f'"{icon}"' in text
    for part in ("MuiCard", "data-testid"):
        assert f'"{part}"' in text


def test_write_changes_but_only_from_its_own_pages(writing: dashboard.Server) -> None:
    note = json.dumps({"body": "hello", "version": 1})
    own = f"http://127.0.0.1:{writing.server_port}"
    path, kind = "/api/studies/1/note", {"Content_Type": "application/json"}
    assert ask(writing, "PUT", path, note, Origin="http://evil.example", **kind)[0] == 403
    assert ask(writing, "PUT", path, note, Origin="null", **kind)[0] == 403
    assert ask(writing, "PUT", path, note, Origin=own, **kind)[0] == 204
    _, _, body = ask(writing, "GET", "/api/studies/1")
    assert json.loads(body)["note"]["body"] == "hello"


def test_reading_cannot_write_even_past_the_guard(database: Path) -> None:
    storage = dashboard.open_storage(f"sqlite:///{database}", write=False)
    with pytest.raises(optuna.exceptions.StorageInternalError) as failure:
        storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "new")
    assert "readonly database" in str(failure.value.__cause__)
    storage.engine.dispose()


def test_guard_takes_cross_origin_headers_out() -> None:
    def loose(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", [("Access-Control-Allow-Origin", "*"), ("X-Content-Type-Options", "odd")])
        return [b"body"]

    seen: list[tuple[str, str]] = []
    environ = {"REQUEST_METHOD": "GET", "HTTP_HOST": "here:1"}
    guard = Guard(loose, frozenset({"here:1"}))
    assert guard(environ, lambda status, headers, *_: seen.extend(headers)) == [b"body"]
    assert seen == [("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "SAMEORIGIN")]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_other_machines_are_kept_out(host: str) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        dashboard.dashboard(host=host)


def test_a_taken_port_is_an_error_of_usage() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="is taken by another program"):
            dashboard.dashboard(port=taken.getsockname()[1])


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    for write in (False, True):
        with pytest.raises(StorageError, match="there is no database at"):
            dashboard.open_storage(f"sqlite:///{path}", write)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"no database at all, but a text of some length" * 9])
def test_a_file_without_studies_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(content)
    for write in (False, True):
        with pytest.raises(StorageError, match="holds no studies of Optuna"):
            dashboard.open_storage(f"sqlite:///{path}", write)
    assert path.read_bytes() == content


def test_ctrl_c_ends_the_command_cleanly(database: Path) -> None:
    code = "import typer; from hpo_core.cli.dashboard import dashboard; typer.run(dashboard)"
    words = [sys.executable, "-c", code, "--port", "0", "--storage", f"sqlite:///{database}"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        watchdog = threading.Timer(240, child.kill)
        watchdog.start()
        said = child.stderr.readline()
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
        data = child.stdout.read()
        watchdog.cancel()
    assert said.startswith("http://127.0.0.1:") and "read-only" in said
    assert (rest, data, child.returncode) == ("dashboard ended\n", "", 0)
