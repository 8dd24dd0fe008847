"""The template: a process that imports what an objective needs, once, and forks the workers from it.

Importing torch, torchvision and Lightning takes about 16 s of processor time. Paid once and not by every worker, it
leaves the cores to others, a crashed worker is replaced by a fork in 20 to 40 ms, and workers share the memory of what
was imported. (With two workers on two idle cores it is no sooner ready: two could import side by side.)

Forking is safe here because nothing has been started yet: the template only imports. It runs no objective, has no
threads of its own and must not initialise CUDA, which cannot be used after a fork (importing torch does not).

Run by `hpo_core.workers.pool` as `python -P -m hpo_core.workers.template DESCRIPTOR OBJECTIVE`. Over the control
socket it takes `{"worker": id}`, each with the descriptor of the worker's end of a socket, and `{"kill": id}`. It says
`{"ready": true}` or `{"broken": why}` when it has imported, and `{"died": id, "how": "killed by SIGKILL"}` for each
worker that has ended, when everything that this worker had started has ended too. When the control socket ends, so do
the workers, everything they started, and the template.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import psutil

from hpo_core.catalog import Catalog
from hpo_core.errors import PluginError
from hpo_core.plugins import load
from hpo_core.workers import oom_killer
from hpo_core.workers.descendants import adopt_orphans, kill_children
from hpo_core.workers.frames import Reader, encode
from hpo_core.workers.worker import serve


def main() -> None:
    """Import, say so, fork what is asked for."""
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        with ending_with(control):
            catalog = preload(sys.argv[2])
    except PluginError as error:
        control.sendall(encode({"broken": str(error)}))
        return
    # Python 3.12 warns of forking beside threads; OpenBLAS has some when it may, and stops them itself around a fork
    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
    adopt_orphans()
    gc.collect()
    gc.freeze()  # the collector then leaves the shared pages alone
    control.sendall(encode({"ready": True}))
    Template(control, catalog).run()


@contextmanager
def ending_with(control: socket.socket) -> Iterator[None]:
    """End this process when the driver goes, while it is busy importing. No thread is left to disturb a fork."""
    done = threading.Event()

    def watch() -> None:
        poll = select.poll()
        poll.register(control, 0)  # only the other side's end, not what it asks for
        while not done.is_set():
            if poll.poll(50):
                os._exit(1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def preload(objective: str) -> Catalog:
    """Import the objective's module and those that its factory lists as `preload`.

    Raises PluginError when there is no such objective or one of its modules cannot be imported.
    """
    catalog, _ = load()
    entry = catalog.entry("objectives", objective)
    modules: Iterable[str] = getattr(entry.factory, "preload", ())
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # a module's import may raise anything
            raise PluginError(
                f"objective '{objective}' of plugin '{entry.plugin}' ({entry.distribution}): "
                f"cannot preload {module}: {type(error).__name__}: {error}"
            ) from error
    return catalog


class Template:
    """Forks workers and buries them."""

    def __init__(self, control: socket.socket, catalog: Catalog) -> None:
        self._control = control
        self._reader = Reader(control)
        self._catalog = catalog
        self._workers: dict[int, int] = {}  # pid -> the driver's id
        self._ends: list[
            int
        ] = []  # descriptors that came with a message of which a part is still to come
        self._imported = {child.pid for child in psutil.Process().children()}  # what imports began
        self._oom_killer = oom_killer.OomKiller()
        self._wake, self._alarm = os.pipe()
        for descriptor in (self._wake, self._alarm):
            os.set_blocking(descriptor, False)
        signal.signal(
            signal.SIGCHLD, lambda *_: None
        )  # the signal's byte in the pipe is what counts
        signal.set_wakeup_fd(self._alarm, warn_on_full_buffer=False)

    def run(self) -> NoReturn:
        """Serve the driver until its end of the control socket is closed."""
        try:
            while not self._reader.ended:
                ready, _, _ = select.select([self._control.fileno(), self._wake], [], [])
                if self._wake in ready:
                    os.read(self._wake, 1 << 10)
                    self._bury()
                if self._control.fileno() in ready:
                    self._obey()
        except ConnectionError:
            pass  # the driver is gone
        finally:
            for pid in self._workers:
                kill_group(pid)
            kill_children()
        os._exit(0)  # torch takes seconds to tidy up what the end of the process frees anyway

    def _obey(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._control, 1 << 10, 1)
        self._reader.ended = not data
        self._ends += descriptors
        for message in self._reader.cut(data):
            if "worker" in message:
                self._fork(message["worker"], socket.socket(fileno=self._ends.pop(0)))
            else:
                self._kill(message["kill"])

    def _fork(self, worker: int, end: socket.socket) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker(end)
        self._workers[pid] = worker
        end.close()

    def _kill(self, worker: int) -> None:
        """Kill a worker, if it has not died by itself; `_bury` sees to what it leaves."""
        for pid, number in self._workers.items():
            if number == worker:
                kill_group(pid)

    def _become_worker(self, end: socket.socket) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            os.close(self._wake)
            os.close(self._alarm)
            serve(end, self._catalog)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(1)  # whatever happened, a fork must never go on as a second template

    def _bury(self) -> None:
        """Tell of the workers that have ended, and kill what they left running."""
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while self._workers and (info := os.waitid(os.P_ALL, 0, look)):
            # not reaped yet, so its number cannot have been given to another process
            kill_group(info.si_pid)
            os.waitpid(info.si_pid, 0)
            self._imported.discard(info.si_pid)
            worker = self._workers.pop(info.si_pid, None)
            exited = info.si_code == os.CLD_EXITED
            how = ended(info.si_status if exited else -info.si_status)
            if self._oom_killer.struck() and how == "killed by SIGKILL":
                how = oom_killer.WORDS
            kill_children(spared=self._workers.keys() | self._imported)
            if worker is not None:  # otherwise an orphan, or a child of an import
                self._control.sendall(encode({"died": worker, "how": how}))


def kill_group(pid: int) -> None:
    """Kill a worker that has not been reaped, and its process group."""
    os.kill(pid, signal.SIGKILL)  # it may not have made its group yet
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it had not


def ended(code: int) -> str:
    """How a process ended, from its return code: `exit code 3`, or `killed by SIGKILL` for -9."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"  # a real-time signal has no name


if __name__ == "__main__":
    main()
