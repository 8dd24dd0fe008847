"""What processes do on the GPUs of this machine: asked of NVIDIA's management library (NVML), from outside.

NVML sees what torch's allocator does not: the driver's own context of some hundred megabytes, other libraries, and
processes that an objective starts. It also sees a process that has hung. What it cannot see is who is who from inside a
container whose driver does not translate process numbers: then nothing here is the attempt's own, and its GPU memory
is what its worker says (`hpo_core.workers.allocator`).

Where there is no driver, or one that fails, there are no figures and nothing is said: most machines have no GPU.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WINDOW = 1.0  # seconds that a process's utilization is the mean of; the driver samples 1 to 6 times


@dataclass(frozen=True)
class Use:
    """What some processes do at one moment; None: nothing, as far as is known.

    `memory` is in bytes, `utilization` the percentage of the last second in which they computed, or in which anybody
    did on their GPUs where the driver does not tell by process. `around` is that of the busiest GPU there is to see,
    whoever keeps it busy.
    """

    memory: int | None
    utilization: float | None
    around: float | None


@dataclass(frozen=True)
class Shown:
    """One GPU at one moment.

    `held` are bytes by process number (None: not told), `worked` percentages by process number, for those that are not
    0 (None: not told by process), `rate` the percentage of all processes together (None: not told).
    """

    held: Mapping[int, int | None]
    worked: Mapping[int, float] | None
    rate: float | None

    def busy(self, pids: Collection[int]) -> float | None:
        """The percentage of these processes, or else of all."""
        if self.worked is None:
            return self.rate
        return min(100.0, sum(self.worked.get(pid, 0.0) for pid in pids))


class Gpus:
    """The GPUs of this machine that this process may see. Used by one thread.

    `nvml` is the module `pynvml`, or one like it.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._devices: list[_Device] = []
        self._open = False
        try:
            if nvml is None:
                import pynvml  # type: ignore[import-untyped]

                self._nvml = pynvml
            self._nvml.nvmlInit()
        except (ImportError, self._error):
            return  # no driver
        self._open = True
        self._devices = list(self._visible())

    @property
    def _error(self) -> type[Exception]:
        error: type[Exception] = getattr(self._nvml, "NVMLError", ImportError)
        return error

    @property
    def found(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._devices)

    def look(self) -> list[Shown]:
        """The GPUs as they are now. A device that does not answer shows nothing."""
        return [device.look() for device in self._devices]

    def close(self) -> None:
        """Let go of the driver, if there is one."""
        if self._open:
            self._open, self._devices = False, []
            _asking(self._error)(self._nvml.nvmlShutdown)

    def _visible(self) -> Iterator[_Device]:
        asked = _asking(self._error)
        for index in range(asked(self._nvml.nvmlDeviceGetCount) or 0):
            handle = asked(self._nvml.nvmlDeviceGetHandleByIndex, index)
            if handle is not None:
                named = str(asked(self._nvml.nvmlDeviceGetUUID, handle))
                if visible(index, named, os.environ.get("CUDA_VISIBLE_DEVICES")):
                    yield _Device(self._nvml, handle, asked)


def used(shown: Collection[Shown], pids: Collection[int]) -> Use:
    """What these processes do on the GPUs."""
    theirs = [(gpu, gpu.held.keys() & pids) for gpu in shown]
    amounts = [gpu.held[pid] for gpu, found in theirs for pid in found]
    known = [amount for amount in amounts if amount is not None]
    rates = [rate for gpu, found in theirs if found and (rate := gpu.busy(found)) is not None]
    return Use(
        memory=sum(known) if known else None,
        utilization=sum(rates) / len(rates) if rates else None,
        around=max((gpu.rate for gpu in shown if gpu.rate is not None), default=None),
    )


def visible(index: int, named: str, allowed: str | None) -> bool:
    """Whether CUDA may use a device, by the variable CUDA_VISIBLE_DEVICES: numbers, or beginnings of UUIDs.

    The numbers are taken as those of NVML, which CUDA's are where all devices are alike or CUDA_DEVICE_ORDER is
    PCI_BUS_ID. A part of a device (`MIG-...`) is not told from the whole.
    """
    if allowed is None:
        return True
    names = [name.strip() for name in allowed.split(",")]
    return any(
        name == str(index) or name.startswith("MIG-") or (name != "" and named.startswith(name))
        for name in names
    )


Ask = Callable[..., Any]


def _asking(error: type[Exception]) -> Ask:
    """A way to call NVML that gives None where it refuses."""

    def ask(call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except error:
            return None

    return ask


class _Device:
    """One GPU."""

    def __init__(self, nvml: Any, handle: Any, ask: Ask) -> None:
        self._nvml, self._handle, self._ask = nvml, handle, ask
        self._by_process = True  # until the driver says that it does not tell

    def look(self) -> Shown:
        """What it is doing now."""
        nvml, handle = self._nvml, self._handle
        found = self._ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        return Shown(
            held={process.pid: process.usedGpuMemory for process in found},
            worked=self._worked() if found else {},
            rate=None if rates is None else float(rates.gpu),
        )

    def _worked(self) -> dict[int, float] | None:
        """The percentages of the processes that did anything within the last second. None: it may not be known."""
        if not self._by_process:
            return None
        nvml = self._nvml
        since = int((time.time() - WINDOW) * 1e6)
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(self._handle, since)
        except nvml.NVMLError as error:
            self._by_process = error.value != nvml.NVML_ERROR_NOT_SUPPORTED
            nobody = error.value in (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_SUCCESS)
            return {} if nobody else None
        by_pid: dict[int, list[float]] = defaultdict(list)
        for sample in samples:
            by_pid[sample.pid].append(float(sample.smUtil))
        return {pid: sum(rates) / len(rates) for pid, rates in by_pid.items()}
