"""The dashboard's page without the buttons that a read-only dashboard refuses: creating, renaming, deleting, uploading.

optuna-dashboard has no mode for looking only, so its page gets a style that hides them. They are found by what they are
called for screen readers and by their icons; one that a later version calls otherwise is seen, and refused as before.
The page must not be kept by browsers: the same address may be that of a dashboard that may write, next time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hpo_core.cli.guard import Application, Environ, Start

HIDDEN = (
    '[aria-label="rename study"]',
    '[aria-label="delete study"]',
    '[aria-label="delete artifact"]',
    'button:has([data-testid="AddBoxIcon"])',  # create a study
    'button:has([data-testid="EditIcon"])',  # edit a note
    '.MuiCard-root:has(> button [data-testid="UploadFileIcon"])',
)

STYLE = (
    f"<style>{', '.join(HIDDEN)} {{ display: none !important; }} "
    "table:not([class]) :is(th, td) { padding: .2rem .8rem; text-align: left; }"  # of a note
    "</style></head>"
).encode()

_CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_RANGE")
_REPLACED = ("content-length", "etag", "last-modified", "accept-ranges", "cache-control")


@dataclass(frozen=True)
class Looking:
    """A WSGI application in front of optuna-dashboard's. Everything but its page passes as it is."""

    application: Application

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Called by the server for every request."""
        if not environ.get("PATH_INFO", "").startswith("/dashboard"):
            return self.application(environ, start)
        whole = {key: value for key, value in environ.items() if key not in _CONDITIONS}
        begun: list[Any] = []
        page = _read(self.application(whole, lambda *given: begun.extend(given)))
        status, headers, *error = begun
        page = page.replace(b"</head>", STYLE, 1)
        kept = [header for header in headers if header[0].lower() not in _REPLACED]
        length = [("Content-Length", str(len(page)))] if page else []  # not of a HEAD
        start(status, [*kept, *length, ("Cache-Control", "no-store")], *error)
        return [page]


def _read(answer: Iterable[bytes]) -> bytes:
    try:
        return b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
