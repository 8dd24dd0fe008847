"""Where a cluster's job server is, and whether it may be talked to.

Whoever reaches a job server runs code on the whole cluster (CVE-2023-48022), so Ray's token is demanded for every
machine but this one, or the word of the user that something else keeps strangers out.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from hpo_core.commands import UsageError

CONNECT_SECONDS = 10
PORT = 8265


@dataclass(frozen=True)
class Address:
    """The checked address of a job server. `near`: only this machine can be meant, or the end of a tunnel on it."""

    url: str
    host: str
    port: int
    near: bool


def parse(text: str) -> Address:
    """An address as the user gave it. Raises UsageError."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port or {"http": PORT, "https": 443}.get(parts.scheme, PORT)
    except ValueError:
        raise UsageError(f"--address {text}: the port is no number up to 65535") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "--address holds a name or a password, which would be shown: give Ray's token as RAY_AUTH_TOKEN_PATH"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.hostname == "auto":
        raise UsageError(
            f"--address {text}: jobs are submitted to the cluster's dashboard, as http://127.0.0.1:{PORT}"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"--address {text}: only scheme, host and port belong there")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{parts.scheme}://{host}:{port}"
    return Address(url, parts.hostname, port, _is_loopback(parts.hostname))


def permit(address: Address, *, token: bool, insecure: bool) -> None:
    """Raise UsageError where another machine would be talked to without a token, unless that is meant."""
    if address.near or token or insecure:
        return
    raise UsageError(
        f"{address.url} is another machine and no token of Ray's is set, so anybody could run code there: start the "
        "cluster with RAY_AUTH_MODE=token and export RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE here, or reach "
        f"it through a tunnel (ssh -L {PORT}:127.0.0.1:{PORT} HOST, --address http://127.0.0.1:{PORT}); where "
        "something else keeps strangers out, say --insecure"
    )


def await_answer(address: Address) -> None:
    """Raise UsageError when nobody listens there: Ray's client would wait for minutes."""
    try:
        socket.create_connection((address.host, address.port), CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"nobody answers at {address.url} ({error.strerror or error}): `ray status` on the cluster's head says "
            "whether it runs; its dashboard's address belongs here"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
