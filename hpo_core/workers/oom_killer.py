"""Whether it was the kernel that killed a process for its memory: SIGKILL does not tell who sent it."""

from __future__ import annotations

import re
from pathlib import Path

WORDS = "killed by the kernel's out-of-memory killer"

CGROUP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
MACHINE = Path("/proc/vmstat")


class OomKiller:
    """Counts what the kernel has killed for want of memory, in this process's control group or else on this machine."""

    def __init__(self) -> None:
        self._seen = kills()

    def struck(self) -> bool:
        """Whether it has killed anything since this was last asked (or made)."""
        before, self._seen = self._seen, kills()
        return before is not None and self._seen is not None and self._seen > before


def kills() -> int | None:
    """How often it has killed; None where the system does not tell.

    The count of the control group is that of its own processes alone, but the root's has none; control groups of the
    older kind (version 1) have none that kernels agree on. The machine's counts every kill.
    """
    own = _count(_group() / "memory.events")
    return _count(MACHINE) if own is None else own


def _group() -> Path:
    """This process's control group (version 2)."""
    try:
        found = re.search(r"^0::/(.*)$", CGROUP.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return GROUPS / (found[1] if found else "")


def _count(path: Path) -> int | None:
    try:
        found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1])
