"""The guard in front of optuna-dashboard, which by itself lets any web page read and delete its user's studies.

It answers whoever asks and sends `Access-Control-Allow-Origin: *` with artifacts; so a page in the same browser could
reach it at 127.0.0.1, or under a name of its own that it points there (DNS rebinding). Here a request must name the
address that we listen at, only reading is allowed unless its user asked for more, and what changes anything must come
from the dashboard's own pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Guard:
    """A WSGI application in front of another. `hosts` are the values of the Host header that are let through."""

    application: Application
    hosts: frozenset[str]
    write: bool = False

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Called by the server for every request."""
        refusal = self._refusal(environ)
        if refusal is not None:
            status, text = refusal
            start(status, [("Content-Type", "text/plain; charset=utf-8"), *_HARDENED])
            return [f"{text}\n".encode()]

        def hardened(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start(status, [h for h in headers if not _loosens(h[0])] + _HARDENED, *error)

        return self.application(environ, hardened)

    def _refusal(self, environ: Environ) -> tuple[str, str] | None:
        """The status and the explanation of a request that is not let through, or None."""
        if environ.get("HTTP_HOST", "").lower() not in self.hosts:
            return "421 Misdirected Request", "This address belongs to another server."
        if environ["REQUEST_METHOD"] in READING:
            return None
        if not self.write:
            return "403 Forbidden", "Read-only: start `hpo dashboard --write` to change anything."
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.lower().removeprefix("http://") not in self.hosts:
            return "403 Forbidden", "Only the dashboard's own pages may change anything."
        return None


_HARDENED = [("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "SAMEORIGIN")]


def _loosens(header: str) -> bool:
    return header.lower().startswith("access-control-") or header.lower() in {
        name.lower() for name, _ in _HARDENED
    }
