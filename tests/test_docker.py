"""`docker/`: its files are linted, and the commands of its compose file are run as processes, since here is no Docker.

What the processes are given instead of containers: other ports, paths and host names, and the secrets' files.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ports import free_port
from postgres import Postgres

from hpo_core.testing.processes import MARK, wait_until_gone

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
BIN = Path(sys.executable).parent
SECONDS = 180
NODE = "127.0.0.2"
"""A loopback that Ray keeps as it is: for 127.0.0.1 it takes an address that others reach."""

HEAD = "--temp-dir {folder}/ray --ray-client-server-port {port} --dashboard-agent-listen-port 0"
RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run pytest` is no reason to start workers with uv
}
WORKER = "--temp-dir {folder}/worker --num-cpus 2"
STUDY = """\
study: clouds
metric: {name: value, goal: minimize}
budget: {trials: 4}
objective: {name: python, call: 'clouds:height', arguments: {x: {float: [0, 1]}}}
sampler: random
"""


def lint(*words: str, cwd: Path = DOCKER) -> str:
    """What a linter says, which is that all is well."""
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=cwd, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_dockerfile_is_clean() -> None:
    assert lint("hadolint", "Dockerfile") == ""


@pytest.mark.parametrize("name", ["compose.yaml", "compose.cuda.yaml"])
def test_compose_files_follow_the_specification(name: str) -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", name)


@pytest.mark.parametrize("files", ["compose.yaml", "compose.yaml:compose.cuda.yaml"])
def test_the_services_are_hardened(files: str, tmp_path: Path) -> None:
    for name in ("compose.yaml", "compose.cuda.yaml", ".compose-lint.yml"):
        shutil.copy(DOCKER / name, tmp_path)
    (tmp_path / ".env").write_text(f"COMPOSE_FILE={files}\n")
    lint("compose-lint", "check", "--fail-on", "low", "--strict-config", cwd=tmp_path)


def test_the_image_is_what_it_should_be() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)
    assert {"cpu", "cuda"} <= {name for _, name in stages} and stages[-1][1] == "cpu"
    assert len(stages) == len(re.findall(r"^FROM", text, re.MULTILINE))
    names = {name for _, name in stages}
    foreign = {image for image, _ in stages} - names
    assert foreign == {"ghcr.io/astral-sh/uv:0.13.8", "python:${PYTHON}"}
    python = re.search(r"^ARG PYTHON=(\d+\.\d+)\.\d+-slim-\w+$", text, re.MULTILINE)
    assert python is not None and python[1] in ("3.11", "3.12", "3.13")  # as pyproject.toml has it
    assert "\nUSER 10001:10001\n" in text and '\nENTRYPOINT ["hpo"]\n' in text
    assert "\nHEALTHCHECK " in text


def test_the_build_sees_what_it_copies_and_no_more() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (DOCKER / "Dockerfile").read_text(), re.M)
    let_in = re.findall(r"^!(\S+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.M)
    assert sorted(let_in) == sorted(" ".join(copied).split())
    assert (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()[1] == "*"


def compose() -> dict[str, Any]:
    """The compose file, as Docker would understand it: `<<` merged, `$$` a dollar, variables at their defaults."""
    text = (DOCKER / "compose.yaml").read_text()
    text = re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_only_this_machine_reaches_what_is_published() -> None:
    services = compose()["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)


def test_secrets_are_files_that_git_does_not_know() -> None:
    found = compose()
    for name, secret in found["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    assert (DOCKER / ".gitignore").read_text() == "secrets/\n"
    for service in found["services"].values():
        assert not re.search(r"PASSWORD=[^\"]|TOKEN=", json.dumps(service.get("environment", {})))


class Services:
    """The services of the compose file as processes of this machine."""

    def __init__(self, folder: Path, storage: str, mark: str) -> None:
        self.services = compose()["services"]
        self.folder = folder
        self.ports = {port: free_port() for port in ("6379", "8265", "8080", "52365")}
        self._storage, self._mark = storage, mark
        self._running: list[subprocess.Popen[bytes]] = []
        token = folder / "home" / ".ray" / "auth_token"
        token.parent.mkdir(parents=True)
        token.write_text("0123456789abcdef" * 4)
        (folder / "db_password").write_text("not asked for: the test's server trusts its socket")

    def words(self, name: str) -> list[str]:
        """The command line of a service."""
        service = self.services[name]
        words = [*service["entrypoint"], *service.get("command", [])]
        return [self._here(word) for word in words]

    def environment(self, name: str) -> dict[str, str]:
        """What a service finds in its environment."""
        given = self.services[name].get("environment", {})
        here = {key: self._here(str(value)) for key, value in given.items()}
        inherited = {key: os.environ[key] for key in ("TMPDIR", "LANG") if key in os.environ}
        own = {"HOME": str(self.folder / "home"), MARK: self._mark} | RAY
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return inherited | here | own | {"PATH": path, "HPO_STORAGE": self._storage}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                self.words(name),
                cwd=self.folder,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self.folder / f"{name}.log"

    def run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a service's command with further words, as `docker compose run` does."""
        return subprocess.run(
            [*self.words(name), *words],
            cwd=self.folder,
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def await_healthy(self, name: str) -> None:
        """Wait until the health check of a service passes."""
        check = [self._here(word) for word in self.services[name]["healthcheck"]["test"][1:]]

        def healthy() -> bool:
            done = subprocess.run(
                check,
                env=self.environment(name),
                capture_output=True,
                timeout=SECONDS,
                cwd=self.folder,
            )
            return done.returncode == 0

        self.until(healthy, self.log(name))

    def until(self, true: Callable[[], bool], log: Path) -> None:
        """Wait for something that will be true while everything runs."""
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, log.read_text()
            assert all(process.poll() is None for process in self._running), log.read_text()
            time.sleep(0.5)

    def stop(self) -> None:
        """End everything."""
        for process in reversed(self._running):
            process.terminate()
        for left in wait_until_gone(self._mark, 10):
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        for process in self._running:
            process.wait(60)

    def _here(self, word: str) -> str:
        """A word of the compose file with this machine's ports, paths and names."""
        for name, here in {
            "ray-head:6379": f"{NODE}:6379",
            "ray-head": "127.0.0.1",
            "/run/secrets": str(self.folder),
            "=/runs": f"={self.folder}/runs",
            "--dashboard-host 0.0.0.0": "--dashboard-host 127.0.0.1",
            "$(hostname -i)": NODE,
        }.items():
            word = word.replace(name, here)
        for port, free in self.ports.items():
            word = re.sub(rf"(?<=[ :]){port}\b", str(free), word)
        if " ray start " in word:  # several nodes on one machine
            word += " --min-worker-port 0 --max-worker-port 0 --object-store-memory 80000000"
            more = HEAD if "--head" in word else WORKER
            word += f" {more.format(folder=self.folder, port=free_port())}"
        return word


@pytest.fixture
def services(postgres: Postgres) -> Iterator[Services]:
    """The services, none started yet; at the end no process is left."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-dk-", dir="/tmp"))  # sockets lie in it
    mark = f"docker-{os.getpid()}"
    made = Services(folder, postgres.fresh(), mark)
    try:
        yield made
    finally:
        made.stop()
        left = wait_until_gone(mark)
        shutil.rmtree(folder, ignore_errors=True)
        assert not left


@pytest.mark.ray
@pytest.mark.slow
def test_a_study_runs_on_the_services_of_the_compose_file(services: Services) -> None:
    services.start("ray-head")
    services.await_healthy("ray-head")
    services.start("ray-worker")
    services.await_healthy("ray-worker")
    (services.folder / "clouds.yaml").write_text(STUDY)
    (services.folder / "clouds.py").write_text("def height(x): return x * x\n")
    done = services.run("submit", "clouds.yaml", "--allow-code", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events].count("trial_finished") == 4
    assert events[-1]["event"] == "study_finished"
    assert "clouds  succeeded" in services.run("submit", "list").stdout
    services.start("dashboard")
    services.await_healthy("dashboard")
    dashboard = f"http://127.0.0.1:{services.ports['8080']}"
    with urllib.request.urlopen(f"{dashboard}/api/studies", timeout=30) as answer:
        assert [study["study_name"] for study in json.load(answer)["study_summaries"]] == ["clouds"]
    assert status(dashboard, "/api/studies/1", method="DELETE") == 403
    assert status(dashboard, "/api/studies", host="rebound.example") == 421
    assert status(dashboard, "/api/studies", host=f"0.0.0.0:{services.ports['8080']}") == 421
    ray = f"http://127.0.0.1:{services.ports['8265']}"
    assert status(ray, "/api/jobs/") == 401


def status(server: str, path: str, method: str = "GET", host: str | None = None) -> int:
    """The status that a server answers with, asked under a name."""
    headers = {"Host": host} if host else {}
    request = urllib.request.Request(server + path, method=method, headers=headers)
    with contextlib.closing(_answer(request)) as answer:
        return int(answer.status)


def _answer(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        return error
