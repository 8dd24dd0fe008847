"""What is seen on GPUs, and what is made of it: a driver of a few lines stands in for NVIDIA's."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from hpo_core import Ending, Outcome
from hpo_core.testing.execution import make_trials
from hpo_core.workers import allocator, oom_killer
from hpo_core.workers.attempt import Attempt, Limits, lost
from hpo_core.workers.gpu import Gpus, Shown, Use, used, visible
from hpo_core.workers.memory import Gauge

GIB = 2**30


class NvmlError(Exception):
    """As NVML's: `value` says which."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


@dataclass
class Nvml:
    """A driver with the functions of `pynvml` that are called. `processes` of each device: number -> bytes, percent."""

    processes: list[dict[int, tuple[int | None, float]]]
    rates: list[float | None] = field(default_factory=list)
    by_process: bool = True
    refusal: int = 0
    present: bool = True
    calls: list[str] = field(default_factory=list)

    NVMLError = NvmlError
    NVML_SUCCESS = 0
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_ERROR_NO_PERMISSION = 4
    NVML_ERROR_NOT_FOUND = 6
    NO_DRIVER = 12

    def nvmlInit(self) -> None:
        self.calls.append("init")
        if not self.present:
            raise NvmlError(self.NO_DRIVER)

    def nvmlShutdown(self) -> None:
        self.calls.append("shutdown")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.processes)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, device: int) -> str:
        return f"GPU-{device}abc"

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[Any]:
        found = self.processes[device].items()
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, (held, _) in found]

    def nvmlDeviceGetUtilizationRates(self, device: int) -> Any:
        rate = self.rates[device] if self.rates else None
        if rate is None:
            raise NvmlError(self.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=rate)

    def nvmlDeviceGetProcessUtilization(self, device: int, since: int) -> list[Any]:
        self.calls.append("by process")
        if not self.by_process:
            raise NvmlError(self.NVML_ERROR_NOT_SUPPORTED)
        if self.refusal:
            raise NvmlError(self.refusal)
        found = [(pid, busy) for pid, (_, busy) in self.processes[device].items() if busy]
        if not found:
            raise NvmlError(self.NVML_ERROR_NOT_FOUND)
        return [SimpleNamespace(pid=pid, smUtil=busy, timeStamp=since + 1) for pid, busy in found]


def use(nvml: Nvml, *pids: int) -> Use:
    return used(Gpus(nvml).look(), pids)


# ---- NVML ----


def test_memory_and_work_are_those_of_the_processes() -> None:
    nvml = Nvml([{1: (GIB, 30.0), 2: (GIB, 20.0), 9: (5 * GIB, 50.0)}], [100.0])
    assert use(nvml, 1, 2, 3) == Use(2 * GIB, 50.0, 100.0)
    assert use(nvml, 9) == Use(5 * GIB, 50.0, 100.0)
    assert use(nvml, 3) == Use(None, None, 100.0)


def test_memory_adds_up_over_devices_and_work_does_not() -> None:
    nvml = Nvml([{1: (GIB, 30.0)}, {1: (2 * GIB, 90.0)}, {}], [30.0, 90.0, 0.0])
    assert use(nvml, 1) == Use(3 * GIB, 60.0, 90.0)


def test_processes_that_only_wait_are_idle() -> None:
    nvml = Nvml([{1: (GIB, 0.0)}], [0.0])
    assert use(nvml, 1) == Use(GIB, 0.0, 0.0)


def test_where_work_is_not_told_by_process_it_is_the_devices() -> None:
    nvml = Nvml([{1: (None, 0.0)}], [80.0], by_process=False)
    gpus = Gpus(nvml)
    for _ in range(3):
        assert used(gpus.look(), [1]) == Use(None, 80.0, 80.0)
    assert nvml.calls.count("by process") == 1, "it has said that it does not tell"
    nvml.rates = []
    assert used(gpus.look(), [1]) == Use(None, None, None)


def test_work_that_may_not_be_seen_is_not_idleness() -> None:
    nvml = Nvml([{1: (GIB, 30.0)}], [80.0], refusal=Nvml.NVML_ERROR_NO_PERMISSION)
    gpus = Gpus(nvml)
    assert used(gpus.look(), [1]) == Use(GIB, 80.0, 80.0)
    nvml.refusal = 0
    assert used(gpus.look(), [1]) == Use(GIB, 30.0, 80.0), "it is asked again"


def test_a_driver_that_has_gone_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml([{}])

    def gone() -> None:
        raise NvmlError(15)

    gpus = Gpus(nvml)
    monkeypatch.setattr(nvml, "nvmlShutdown", gone)
    gpus.close()
    assert not gpus.found


def test_without_a_driver_there_is_nothing_and_nothing_is_said(
    capfd: pytest.CaptureFixture[str],
) -> None:
    nvml = Nvml([{1: (GIB, 30.0)}], present=False)
    gpus = Gpus(nvml)
    assert gpus.look() == [] and used(gpus.look(), [1]) == Use(None, None, None)
    gpus.close()
    assert nvml.calls == ["init"] and capfd.readouterr() == ("", "")


def test_a_device_that_fails_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml([{1: (GIB, 30.0)}], [10.0])
    gpus = Gpus(nvml)

    def lost(*_: Any) -> Any:
        raise NvmlError(15)

    for name in ("ComputeRunningProcesses", "UtilizationRates", "ProcessUtilization"):
        monkeypatch.setattr(nvml, f"nvmlDeviceGet{name}", lost, raising=True)
    assert gpus.look() == [Shown({}, {}, None)]
    gpus.close()
    gpus.close()
    assert nvml.calls.count("shutdown") == 1


@pytest.mark.parametrize(
    ("allowed", "seen"),
    [
        (None, [0, 1]),
        ("1", [1]),
        ("0, 1", [0, 1]),
        ("GPU-1a", [1]),
        ("", []),
        ("-1", []),
        ("MIG-5", [0, 1]),
    ],
)
def test_devices_that_the_process_may_not_use_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, allowed: str | None, seen: list[int]
) -> None:
    assert [index for index in (0, 1) if visible(index, f"GPU-{index}abc", allowed)] == seen
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert len(Gpus(Nvml([{}, {}])).look()) == len(seen)


def test_the_real_library_is_asked_for_what_it_has() -> None:
    import pynvml  # type: ignore[import-untyped]

    names = [name for name in vars(Nvml) if name.startswith(("nvml", "NVML"))]
    assert len(names) == 13 and not [name for name in names if not hasattr(pynvml, name)]
    Gpus().close()  # with or without a driver


# ---- attempts ----


@pytest.fixture
def attempt(tmp_path: Any) -> Attempt:
    return Attempt(make_trials(tmp_path, 1, "any")[0])


def test_an_attempt_keeps_its_peak_and_its_mean(attempt: Attempt) -> None:
    for one in (Use(None, None, 0.0), Use(GIB, 90.0, 90.0), Use(3 * GIB, 60.0, 90.0)):
        attempt.seen(one)
    told = attempt.measured(Outcome(Ending.COMPLETED, peak_gpu_memory=2 * GIB))
    assert (told.peak_gpu_memory, told.gpu_utilization) == (3 * GIB, 50.0)
    assert told.ending is Ending.COMPLETED and told.peak_memory is None


def test_an_attempt_on_the_cpu_used_no_gpu(attempt: Attempt) -> None:
    attempt.seen(Use(None, None, 70.0))  # its neighbours do
    told = attempt.measured(Outcome(Ending.COMPLETED))
    assert (told.peak_gpu_memory, told.gpu_utilization) == (None, None)


def test_in_a_container_the_worker_says_what_was_used(attempt: Attempt) -> None:
    attempt.seen(Use(None, None, 70.0))
    attempt.seen(Use(None, None, 30.0))
    told = attempt.measured(Outcome(Ending.COMPLETED, peak_gpu_memory=GIB))
    assert (told.peak_gpu_memory, told.gpu_utilization) == (GIB, 50.0)


def test_what_another_machine_measured_is_passed_on(attempt: Attempt) -> None:
    told = attempt.measured(Outcome(Ending.LOST, "r", "t", 5, 7, 40.0, True))
    assert told == Outcome(Ending.LOST, "r", "t", 5, 7, 40.0, True)


def test_the_gauge_looks_at_whole_trees(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo_core.workers import memory

    monkeypatch.setattr(memory, "TICK", 0.01)
    monkeypatch.setattr(memory, "PATIENCE", 60.0)
    own = psutil.Process()
    nvml = Nvml([{own.pid: (GIB, 40.0)}], [40.0])
    gauge = Gauge(lambda: [(own, attempt)], lambda of, held: of.held(held), Gpus(nvml))
    end = time.monotonic() + 60
    while not (attempt.peak and attempt.peak_gpu) and time.monotonic() < end:
        time.sleep(0.01)
    gauge.close()
    assert nvml.calls[-1] == "shutdown"
    told = attempt.measured(Outcome(Ending.COMPLETED))
    assert (told.peak_gpu_memory, told.gpu_utilization) == (GIB, 40.0)
    assert told.peak_memory


def test_a_gpu_that_does_not_answer_holds_nothing_up(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo_core.workers import memory

    monkeypatch.setattr(memory, "TICK", 0.01)
    monkeypatch.setattr(memory, "PATIENCE", 0.01)
    asked, answers = threading.Event(), threading.Event()

    class Hung(Nvml):
        def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[Any]:
            asked.set()
            answers.wait(60)
            return []

    own, measured = psutil.Process(), threading.Event()
    gauge = Gauge(lambda: [(own, attempt)], lambda of, held: measured.set(), Gpus(Hung([{}])))
    assert asked.wait(60)
    measured.clear()
    assert measured.wait(60), "memory is looked at all the same"
    gauge.close()
    answers.set()
    gauge._gpu_thread.join(60)


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        (Limits(memory=10).excess(20), True),
        (f"its worker was {oom_killer.WORDS}", True),
        (
            "its worker was killed by SIGKILL (the kernel's out-of-memory killer, or somebody)",
            False,
        ),
        ("no report for 5 s (report_timeout)", False),
    ],
)
def test_memory_was_short_where_it_is_known(reason: str, short: bool) -> None:
    assert lost(reason) == Outcome(Ending.LOST, reason, out_of_memory=short)


# ---- the allocator of torch ----


@dataclass
class Cuda:
    """As `torch.cuda`, with two devices."""

    started: bool = True
    broken: bool = False
    peaks: list[int] = field(default_factory=lambda: [3, 4])
    calls: list[str] = field(default_factory=list)

    def is_initialized(self) -> bool:
        return self.started

    def device_count(self) -> int:
        return 2

    def max_memory_reserved(self, device: int) -> int:
        return self.peaks[device]

    def reset_peak_memory_stats(self, device: int) -> None:
        self.peaks[device] = 0

    def synchronize(self) -> None:
        self.calls.append("synchronize")
        if self.broken:
            raise RuntimeError("CUDA error: device-side assert triggered")

    def empty_cache(self) -> None:
        self.calls.append("empty")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    made = Cuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=made))
    yield made


def test_the_allocator_tells_the_peak_since_the_beginning(cuda: Cuda) -> None:
    assert allocator.peak() == 7
    allocator.begin()
    assert allocator.peak() is None, "it has used none since"
    assert allocator.release() and cuda.calls == ["synchronize", "empty"]


def test_cuda_that_is_broken_is_found_out(cuda: Cuda) -> None:
    cuda.broken = True
    assert not allocator.release()


def test_nothing_is_started_to_ask(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda.started = False
    for _ in range(2):
        allocator.begin()
        assert allocator.peak() is None and allocator.release() and not cuda.calls
        monkeypatch.delitem(sys.modules, "torch", raising=False)


# ---- the kernel's killer ----


@pytest.fixture
def machine(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine's files, to be written."""
    (tmp_path / "own").mkdir()
    for name in ("CGROUP", "GROUPS", "MACHINE"):
        monkeypatch.setattr(oom_killer, name, tmp_path / name.lower())
    monkeypatch.setattr(oom_killer, "GROUPS", tmp_path)
    return tmp_path


def test_the_count_of_the_own_group_comes_first(machine: Any) -> None:
    assert oom_killer.kills() is None and not oom_killer.OomKiller().struck()
    (machine / "machine").write_text("nr_free_pages 9\noom_kill 4\n")
    assert oom_killer.kills() == 4
    (machine / "cgroup").write_text("4:memory:/else\n0::/own\n")
    assert oom_killer.kills() == 4
    (machine / "own" / "memory.events").write_text("oom 3\noom_kill 1\noom_group_kill 7\n")
    assert oom_killer.kills() == 1


def test_it_has_struck_when_the_count_has_grown(machine: Any) -> None:
    (machine / "machine").write_text("oom_kill 4\n")
    killer = oom_killer.OomKiller()
    assert not killer.struck()
    (machine / "machine").write_text("oom_kill 6\n")
    assert killer.struck() and not killer.struck()
