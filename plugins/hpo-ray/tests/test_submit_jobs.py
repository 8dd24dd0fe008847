"""`hpo submit` against the job server of a real head on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hpo_ray.submit import app
from ports import free_port
from typer.testing import CliRunner, Result

from hpo_core.commands import UsageError
from hpo_core.testing.distributions import use_distributions, write_distribution
from hpo_core.testing.processes import MARK, wait_until_gone

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore:ssl=None is deprecated"),  # Ray's client says it of itself
]

BIN = Path(sys.executable).parent
HEAD_SECONDS = 180
CANARY = "canary-5f0c2d"
STUDY = """\
study: {study}
metric: {{name: value, goal: minimize}}
budget: {{trials: {trials}}}
objective: {{name: python, call: 'hills:{call}', arguments: {{x: {{float: [0, 1]}}, key: '${{env:HILLS_KEY}}'}}}}
sampler: random
executor: inline
"""
HILLS = f"""\
import signal, time
def height(x, key):
    assert key == "{CANARY}"
    return x * x
def patient(x, key, run):
    '''The second trial goes on when its driver has been told to stop; it is then run again.'''
    told, before = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *given: (told.append(1), before(*given)))
    while (run.trial.number, run.trial.attempt) == (1, 1) and not told:
        time.sleep(0.05)
    signal.signal(signal.SIGTERM, before)
    return x
"""


@dataclass(frozen=True)
class Head:
    """A head that runs. `mark` finds its processes."""

    address: str
    mark: str


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """A head with a job server, which knows the secret that studies refer to; nothing of it is left at the end."""
    folder = tempfile.mkdtemp(
        prefix="hpo-ray-", dir="/tmp"
    )  # sockets lie in it, whose paths must be short
    port, mark = free_port(), f"submit-{os.getpid()}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HILLS_KEY": CANARY,
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run pytest` is no reason to start workers with uv
        MARK: mark,
    }
    command = (
        f"ray start --head --block --port 0 --node-ip-address 127.0.0.2 --dashboard-host 127.0.0.1 --num-cpus 1 "
        f"--dashboard-port {port} --dashboard-agent-listen-port 0 --ray-client-server-port {free_port()} "
        f"--min-worker-port 0 --max-worker-port 0 --object-store-memory 80000000 --temp-dir {folder}"
    )
    with open(f"{folder}/start.log", "wb") as log:
        started = subprocess.Popen(
            command.split(), env=inherited | own, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_answer(f"http://127.0.0.1:{port}/api/version", started, Path(folder, "start.log"))
        yield Head(f"http://127.0.0.1:{port}", mark)
    finally:
        started.send_signal(signal.SIGTERM)
        for process in wait_until_gone(mark, 15):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        started.wait(60)
        left = wait_until_gone(mark)
        shutil.rmtree(folder, ignore_errors=True)
        assert not left


def _await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + HEAD_SECONDS
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are typed, with the code that studies name. The secret is set on the cluster alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hills.py").write_text(HILLS)
    return tmp_path


def write(study: str, *, trials: int = 3, call: str = "height") -> str:
    """A study in the current folder; its file's name."""
    Path(f"{study}.yaml").write_text(STUDY.format(study=study, trials=trials, call=call))
    return f"{study}.yaml"


def submit(head: Head, *words: str) -> Result:
    """`hpo submit` in this process, since importing Ray takes seconds."""
    return CliRunner().invoke(app, [*words, "--address", head.address], catch_exceptions=False)


def complete(folder: Path, study: str) -> int:
    """The trials of a study that are complete."""
    database = folder / "runs" / "hpo.db"
    query = "select count(*) from trials natural join studies where study_name = ? and state = 'COMPLETE'"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(query, [study]).fetchone()[0])


def answers(head: Head, path: str = "/api/jobs/") -> str:
    """What the job server tells anybody who asks."""
    with urllib.request.urlopen(head.address + path, timeout=30) as answer:
        return str(answer.read(), "utf-8")


def test_a_study_runs_as_a_job_and_its_secret_stays_where_it_is(head: Head, folder: Path) -> None:
    done = submit(head, write("tame"), "--allow-code", "--json")
    assert done.exit_code == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events].count("trial_finished") == 3
    assert events[-1]["event"] == "study_finished"
    assert complete(folder, "tame") == 3
    jobs = json.loads(submit(head, "list", "--json").stdout)
    (job,) = [job for job in jobs if job["study"] == "tame"]
    assert (job["status"], job["exit_code"]) == ("succeeded", 0)
    told = answers(head) + answers(head, f"/api/jobs/{job['job']}") + done.stdout + done.stderr
    assert "hpo run tame.yaml" in told and CANARY not in told


def test_a_detached_job_is_followed_later_and_says_which_plugin_the_cluster_lacks(
    head: Head, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from hpo_core import hookimpl\ndef coffee(run): return 1.0\n"
    source += "@hookimpl\ndef register_objectives(register): register('coffee-here', coffee)\n"
    write_distribution(folder, "hpo-coffee-here", source, version="3.1")
    use_distributions(monkeypatch, folder)
    file = Path(write("coffee"))
    objective = file.read_text().splitlines()[3]
    file.write_text(file.read_text().replace(objective, "objective: coffee-here"))
    started = json.loads(submit(head, file.name, "--detach", "--json").stdout)
    assert started | {"job": ""} == {"job": "", "address": head.address, "study": "coffee"}
    followed = submit(head, "logs", "--follow", started["job"])
    assert followed.exit_code == 4 and followed.stdout == ""
    assert "hpo-coffee-here  3.1             not installed" in followed.stderr
    assert "study coffee ·" not in followed.stderr
    assert "hpo-coffee-here" in submit(head, "logs", started["job"]).stdout
    assert "is not running" in submit(head, "stop", started["job"]).stderr
    with pytest.raises(UsageError, match="there is no job 'no-such-job'"):
        submit(head, "stop", "no-such-job")


def test_ctrl_c_leaves_the_job_alone_and_a_stopped_one_continues(head: Head, folder: Path) -> None:
    file = write("long", trials=6, call="patient")
    said = interrupted(head, file, "--allow-code")
    assert "goes on without you" in said and "Traceback" not in said
    job = said.split("hpo submit stop ")[1].split()[0]
    stopped = submit(head, "stop", job)
    assert stopped.exit_code == 0 and "has stopped" in stopped.stderr
    assert 1 <= complete(folder, "long") < 6
    assert submit(head, "logs", "-f", job).exit_code == 143
    again = submit(head, file, "--allow-code")
    assert again.exit_code == 0, again.stderr
    assert complete(folder, "long") == 6


def interrupted(head: Head, *words: str) -> str:
    """What `hpo submit` says that is interrupted when the first trial is complete."""
    with subprocess.Popen(
        [str(BIN / "hpo"), "submit", *words, "--address", head.address],
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stderr is not None
        said = ""
        for line in following.stderr:
            said += line
            if " complete " in line:
                break
        following.send_signal(signal.SIGINT)
        said += following.stderr.read()
        assert following.wait(60) == 130
    return said
