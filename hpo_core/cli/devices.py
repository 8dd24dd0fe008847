"""The accelerators that training can use, asked of torch in a process of its own.

Importing torch takes seconds, and with a broken driver it may hang or die: neither must happen to the process that is
to report it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal

from hpo_core.cli.wording import clean, size

TIMEOUT_SECONDS = 120.0  # a cold import of torch from a slow disk takes a minute

PROBE = """
import json, torch
cuda = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({
    "torch": torch.__version__,
    "built_for": torch.version.cuda or torch.version.hip,
    "cuda": [{"name": d.name, "memory": d.total_memory, "capability": f"{d.major}.{d.minor}"} for d in cuda],
    "mps": torch.backends.mps.is_available(),
    "threads": torch.get_num_threads(),
}))
"""

Found = tuple[str, str, Literal["ok", "note"]]


def device_findings(timeout: float = TIMEOUT_SECONDS) -> Iterator[Found]:
    """(name, value, status) of each device, or of why there is none to see. Takes seconds where torch is installed."""
    if importlib.util.find_spec("torch") is None:
        yield "torch", "not installed", "note"
        return
    try:
        answer = ask_torch(timeout)
    except subprocess.TimeoutExpired:
        yield "torch", f"did not answer within {timeout:g} s", "note"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        yield "torch", f"cannot be imported: {clean(lines[-1])}", "note"
    else:
        yield from _devices(answer)


def ask_torch(timeout: float) -> dict[str, Any]:
    """What torch says of itself. Raises subprocess's errors when it does not."""
    ran = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=timeout, check=True
    )
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def _devices(answer: dict[str, Any]) -> Iterator[Found]:
    built_for = answer["built_for"]
    yield "torch", f"{answer['torch']}, built for {built_for or 'the CPU only'}", "ok"
    yield "cpu", f"{answer['threads']} threads", "ok"
    for index, device in enumerate(answer["cuda"]):
        text = f"{device['name']}, {size(device['memory'])}, capability {device['capability']}"
        yield f"cuda:{index}", text, "ok"
    if answer["mps"]:
        yield "mps", "available", "ok"
    if built_for and not answer["cuda"]:
        yield "cuda", "none seen: training runs on the CPU", "note"
