"""A cluster's job server: starts, follows and stops the jobs of `hpo submit`.

A thin layer over `ray.job_submission.JobSubmissionClient`, which by itself lets RAY_ADDRESS override the address that
it is given (and that was checked here), waits without end, and shows a job's log up to where it looked last.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hpo_core import PluginError
from hpo_core.commands import UsageError
from hpo_ray import jobs_address
from hpo_ray.jobs_address import Address

if TYPE_CHECKING:
    from hpo_ray.submit_order import Order

STOP_SECONDS = 120
AWAY_SECONDS = 60
"""How long a job server that was there may be away while a job is followed."""

_OVERRIDING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_MARK = "hpo_study"


class JobServer:
    """The job server at an address that was checked."""

    def __init__(self, address: Address, client: Any, insecure: bool) -> None:
        self.address = address.url
        self._client = client
        self._insecure = insecure

    @classmethod
    def at(cls, text: str, *, insecure: bool) -> JobServer:
        """The server at an address as the user gave it. Raises UsageError when it may not or cannot be reached."""
        address = jobs_address.parse(text)
        with _quiet_ray(), _asking(address.url):
            from ray._private.authentication.http_token_authentication import (
                get_auth_headers_if_auth_enabled as headers,  # what the client itself will send
            )
            from ray.job_submission import JobSubmissionClient

            jobs_address.permit(address, token=bool(headers({})), insecure=insecure)
            jobs_address.await_answer(address)
            return cls(address, JobSubmissionClient(address.url), insecure)

    def submit(self, order: Order) -> str:
        """Start a job and return its name."""
        with tempfile.TemporaryDirectory(prefix="hpo-submit-") as folder, _asking(self.address):
            order.write(Path(folder))
            job: str = self._client.submit_job(
                entrypoint=order.entrypoint,
                submission_id=order.job,
                runtime_env={"working_dir": folder},
                metadata={_MARK: order.study},
            )
            return job

    def follow(self, job: str, show: Callable[[str], None]) -> int:
        """Hand a job's log to `show`, piece by piece, until the job ends; its exit code.

        A job that was stopped has ended by SIGTERM. Raises PluginError when the job could not run, or the server is
        away for too long.
        """
        self._info(job)  # an unknown job is the user's mistake, and not an outage
        tail = _Tail(show)
        given_up = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                asyncio.run(tail.read(self._client.tail_job_logs(job)))
                info = self._client.get_job_info(job)
                if info.status.is_terminal():
                    tail.complete(self._client.get_job_logs(job))
                    return _exit_code(info)
                given_up = time.monotonic() + AWAY_SECONDS
            except _outages() as error:
                if time.monotonic() > given_up:
                    raise PluginError(
                        f"{self.address} has been away for {AWAY_SECONDS} s ({error}); the job may well go on: "
                        f"{self.command('logs', '--follow', job)}"
                    ) from error
            time.sleep(1)

    def stop(self, job: str) -> bool:
        """Stop a job and wait for its end; False when it was not running. Raises PluginError when it does not end."""
        self._info(job)
        with _asking(self.address):
            if not self._client.stop_job(job):
                return False
        deadline = time.monotonic() + STOP_SECONDS
        while not self._info(job).status.is_terminal():
            if time.monotonic() > deadline:
                raise PluginError(f"job {job} has not stopped within {STOP_SECONDS} s")
            time.sleep(0.2)
        return True

    def log(self, job: str) -> str:
        """All that a job has written so far."""
        self._info(job)
        with _asking(self.address):
            text: str = self._client.get_job_logs(job)
            return text

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that `hpo submit` started, the oldest first."""
        with _asking(self.address):
            ours = [info for info in self._client.list_jobs() if _MARK in (info.metadata or {})]
        ours.sort(key=lambda info: info.start_time or 0)
        return [
            {
                "job": info.submission_id,
                "study": info.metadata[_MARK],
                "status": info.status.value.lower(),
                "exit_code": info.driver_exit_code,
            }
            for info in ours
        ]

    def command(self, *words: str) -> str:
        """The command line that does something else with a job of this server."""
        insecure = ["--insecure"] if self._insecure else []
        return shlex.join(["hpo", "submit", *words, "--address", self.address, *insecure])

    def _info(self, job: str) -> Any:
        """What the server knows of a job. Raises UsageError when there is no such job."""
        with _asking(self.address, job):
            return self._client.get_job_info(job)


class _Tail:
    """Shows each part of a log once, however often it is read from its beginning."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._shown = 0

    async def read(self, pieces: Any) -> None:
        """Take in a log from its beginning, as it is written."""
        seen = 0
        async for piece in pieces:
            fresh = piece[max(0, self._shown - seen) :]
            seen += len(piece)
            self._take(fresh)

    def complete(self, text: str) -> None:
        """Take in all of a log at once."""
        self._take(text[self._shown :])

    def _take(self, fresh: str) -> None:
        self._shown += len(fresh)
        if fresh:
            self._show(fresh)


def _exit_code(info: Any) -> int:
    """The exit code of a job that has ended, as a shell gives it. Raises PluginError when it never ran."""
    if info.status.value == "STOPPED":
        return 143
    code = info.driver_exit_code
    if code is None:
        if info.status.value == "SUCCEEDED":
            return 0
        text = " ".join((info.message or "no reason is known").split())[:500]
        raise PluginError(f"the cluster could not run the job, or lost it: {text}")
    return int(code) if code >= 0 else 128 - code


def _outages() -> tuple[type[Exception], ...]:
    """What Ray's client raises while a server is away: nothing of its own."""
    import aiohttp

    return (aiohttp.ClientError, OSError, RuntimeError)


@contextmanager
def _asking(address: str, job: str | None = None) -> Iterator[None]:
    """What Ray's client raises as ours: it has no exceptions of its own."""
    import requests
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        _refused(address, error)
    except (requests.RequestException, ConnectionError) as error:
        raise UsageError(f"{address} does not answer as a job server of Ray: {error}") from error
    except RuntimeError as error:
        if job is not None and "404" in str(error):
            raise UsageError(f"there is no job '{job}' at {address}: see hpo submit list") from None
        raise PluginError(f"{address} refused: {' '.join(str(error).split())[:500]}") from error


def _refused(address: str, error: Exception) -> NoReturn:
    reason = str(error).splitlines()[0].split(". ")[0].rstrip(".")
    raise UsageError(
        f"no token of Ray's for {address}: {reason}. Export RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH=FILE with the "
        "cluster's token in it"
    ) from error


@contextmanager
def _quiet_ray() -> Iterator[None]:
    """Let nothing but the checked address say where to, and Ray's client say nothing that is not a warning."""
    kept = {name: os.environ.pop(name) for name in _OVERRIDING if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
    for handler in logging.getLogger("ray").handlers:
        handler.setLevel(logging.WARNING)
