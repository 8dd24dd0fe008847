"""The cluster that a study runs on: found, or started for it, and left as it was found.

A cluster that is started here listens on the loopback interface alone, has no dashboard, sends no usage statistics,
and ends with the study. Ray's loggers are silenced while a study runs, for they would write over its live view; what
went wrong is in our own errors. Ray takes over SIGTERM when it connects: the handlers that were there are put back.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from hpo_core import ExecutorError

ENVIRONMENT = {  # read when ray is imported, or when Tune begins
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, it would copy the working directory to every node
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what raylets say of dead workers would go to standard output
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
}
os.environ.update(ENVIRONMENT)

import ray  # noqa: E402
from ray._private import ray_constants  # noqa: E402
from ray._private.services import get_node_ip_address  # noqa: E402
from ray._private.utils import read_ray_address  # noqa: E402

from hpo_ray.placing import bundle  # noqa: E402

STORE = 100_000_000  # bytes of Ray's object store: nothing of ours goes there
BEAT = 3.0  # seconds between two questions to the head
DOUBT = 10.0  # seconds without an answer after which nothing is waited for
SILENCE = 25.0  # seconds without an answer; after 60 Ray would end this process without a word
ORPHANED = (
    "10"  # seconds after which Ray's helpers end when their cluster was killed with the driver
)
LEAVING = 10.0  # seconds that disconnecting may take


class Cluster:
    """What is there. `remote`: nothing but its head can be reached from here (`ray://`)."""

    def __init__(self) -> None:
        self.remote = bool(ray.util.client.ray.is_connected())  # type: ignore[no-untyped-call]
        self.heard = time.monotonic()
        self._over = threading.Event()
        threading.Thread(target=self._beat, name="hpo-ray-head", daemon=True).start()

    def room(self, resources: dict[str, float]) -> int:
        """How many slots the nodes hold, at least 1: what is not there yet may come."""
        asked = bundle(resources)
        return max(1, sum(_fitting(node["Resources"], asked) for node in living()))

    def silent(self, seconds: float) -> bool:
        """Whether the head has not answered for so long."""
        return time.monotonic() - self.heard > seconds

    def offers(self) -> str:
        """What the nodes have, for a message."""
        nodes = [
            f"{node['NodeManagerAddress']}: {_in_words(node['Resources'])}" for node in living()
        ]
        return "; ".join(nodes) or "no node"

    def close(self) -> None:
        """Ask no more."""
        self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                living()
            except Exception:  # of many kinds; the silence is what counts
                continue
            self.heard = time.monotonic()


def living() -> list[dict[str, Any]]:
    """The nodes, as Ray describes them."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _fitting(offered: dict[str, float], asked: dict[str, float]) -> int:
    """How many slots a node holds."""
    return int(min(offered.get(name, 0) / number + 1e-9 for name, number in asked.items()))


def _in_words(resources: dict[str, float]) -> str:
    """Without what Ray adds for itself: `{CPU: 2, GPU: 1}`."""
    shown = {
        name: number
        for name, number in resources.items()
        if ":" not in name and "memory" not in name
    }
    return "{" + ", ".join(f"{name}: {number:g}" for name, number in sorted(shown.items())) + "}"


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """A connection to the cluster at an address; one that this process already has is used and kept.

    Raises ExecutorError when there is no such cluster.
    """
    with _quiet():
        mine = not ray.is_initialized()
        if mine:
            _connect(address)
        cluster = Cluster()
        try:
            yield cluster
        finally:
            cluster.close()
            if mine:
                bounded(ray.shutdown, LEAVING)


@contextmanager
def started(**options: Any) -> Iterator[None]:
    """A cluster of one's own on this machine, with more of the options of `ray.init`; used by tests and benchmarks."""
    with _quiet():
        _start(**options)
        try:
            yield
        finally:
            ray.shutdown()


def _connect(address: str) -> None:
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or ("auto" if _runs_here() else "local")
    if address == "local":
        _start()
        return
    loopback = _on_loopback() if _only_on_loopback(address) else nullcontext()
    try:
        with loopback:
            _init(address=address)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise ExecutorError(
            f"no Ray cluster at {address}: {_root(error)}; start one (`ray start --head`), set RAY_AUTH_MODE=token if "
            "it asks for a token, or use executor.address=local"
        ) from error


def _start(**options: Any) -> None:
    try:
        with _on_loopback():
            _init(address="local", include_dashboard=False, object_store_memory=STORE, **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        raise ExecutorError(
            f"cannot start a Ray cluster on this machine: {_root(error)}"
        ) from error


def _runs_here() -> bool:
    """Whether the cluster that was last begun here with `ray start` still runs.

    Ray's own search would find any other, too: the one that another study has started and takes away with it.
    """
    address = read_ray_address()
    return bool(address) and _answers(*address.rsplit(":", 1))


def _only_on_loopback(address: str) -> bool:
    """Whether it is a cluster of this machine that others cannot reach.

    Ray looks for a cluster at a loopback address at the machine's own address instead.
    """
    host, _, port = address.rpartition(":")
    own: str = get_node_ip_address()  # type: ignore[no-untyped-call]
    return host in ("127.0.0.1", "localhost") and not _answers(own, port)


def _answers(host: str, port: str) -> bool:
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except OSError:
        return False


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Have Ray take this machine for one that has no other: only then do its servers bind to 127.0.0.1 alone.

    An address that it is given (`_node_ip_address`) Ray replaces by one that others can reach.
    """
    enabled = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"  # for what Ray starts
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled
        del os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR]


def _init(**options: Any) -> None:
    with _own_signals():
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)


def _root(error: BaseException) -> str:
    """What was wrong in the first place, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300]


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put back the handlers of the signals that end a study."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Ray's loggers and its warnings, which are about its own future."""
    logger = logging.getLogger("ray")
    level = logger.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\..*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def bounded(action: Callable[[], Any], seconds: float) -> None:
    """Do what may never end where the head is gone, and go on without it after so many seconds."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
