"""Names for the steps at which a crash would hurt, so that tests can crash there.

`point(name)` stands at every step that makes something durable. It does nothing unless the environment variable
`HPO_FAULT` names it: `ledger.committed:3:kill` kills the process at the third time it gets there,
`checkpoint.write:1:full` makes the disk seem full. The test of crash points tries every name in `POINTS`, so a new step
cannot be forgotten: naming one that is not listed is an error.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter

POINTS = (
    "study.create",
    "study.prepare",
    "lease.take",
    "ledger.write",  # inside the transaction of a commit
    "ledger.committed",
    "checkpoint.write",
    "checkpoint.rename",
    "checkpoint.saved",
    "checkpoint.delete",
    "checkpoint.upload",  # of one of its files, to a store
    "checkpoint.publish",  # its manifest is sent
    "checkpoint.remove",  # in a store, where its manifest is gone
    "checkpoint.fetch",
    "model.write",
    "model.rename",
    "model.insert",  # inside the transaction of the row
    "model.registered",
    "model.change",  # inside the transaction of an alias, a tag or a deletion
    "model.changed",
    "model.remove",  # the files of a deleted version, which have lost their name
    "dataset.publish",  # a manifest gets its final name
    "dataset.insert",  # inside the transaction of the row
    "dataset.registered",
    "dataset.change",  # inside the transaction of a tag, a link or a deletion
    "dataset.changed",
    "dataset.object",  # a copy of a file gets its final name
    "dataset.copied",  # all of a version's files
    "dataset.restore",  # the folder gets its final name
    "files.write",
)

_hits: Counter[str] = Counter()


def point(name: str) -> None:
    """Fail here if the environment says so; called right before the step of that name."""
    plan = os.environ.get("HPO_FAULT")
    if plan is None:
        return
    assert name in POINTS, name
    where, hit, how = plan.split(":")
    _hits[name] += name == where
    if name != where or _hits[name] != int(hit):
        return
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise ValueError(f"HPO_FAULT: '{how}' is neither kill nor full")
