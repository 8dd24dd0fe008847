"""Where checkpoints lie: a folder's path, or the URL of a store that fsspec reaches (`s3://bucket/hpo`).

An address may hold references (`${env:NAME}`): it is stored and shown as it stands in the study file and resolved where
it is used, by the process that uses it, so that a password never reaches the database, a file or a message. One that
stands in the file itself would be stored with every checkpoint, and is refused. A `file://` URL is its path.

fsspec is imported when an address has to be checked, and the library of a store (s3fs, say) when the store is used.
"""

from __future__ import annotations

import importlib.util
import re
from glob import has_magic
from pathlib import Path

from hpo_core import references
from hpo_core.errors import nearest

_URL = re.compile(r"(?P<protocol>[^/]*)://(?P<rest>.*)", re.DOTALL)
_ONE_SLASH = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]+):/?(?P<rest>[^/].*)", re.DOTALL)
_USER = re.compile(r"(?<=://)(?P<user>[^/@:\s]*)(?P<password>:[^/@\s]*)?@")
_FILE = "file://"


class UnavailableError(OSError):
    """Where checkpoints lie cannot be said, or does not answer, or refuses: another time it may."""


def resolved(address: str) -> str:
    """The address with its references resolved; a `file://` URL as a path. Raises UnavailableError."""
    try:
        text: str = references.resolve(address)
    except references.UnresolvedReferenceError as error:
        raise UnavailableError(str(error)) from error
    return text.removeprefix(_FILE).rstrip("/") or "/"


def is_remote(place: str) -> bool:
    """Whether a resolved address is a store's and not a folder's."""
    return "://" in place


def root(address: str, folder: str) -> str:
    """The address of a study's own folder; a relative path counts from here, wherever its workers run."""
    address = address.removeprefix(_FILE).rstrip("/")
    if is_remote(address) or address.startswith("${"):
        return f"{address}/{folder}"
    return str(Path(address or "/").absolute() / folder)


def shown(text: str) -> str:
    """`text`, an address or a library's message about one, without the password that it may quote."""
    return _USER.sub("***@", references.conceal(text))


def without_user(place: str) -> str:
    """A resolved address without who asks: the same place for everybody."""
    return _USER.sub("", place)


def problem(address: str) -> tuple[str, str | None] | None:
    """What is wrong with an address in a study file, and what was probably meant. None: nothing, or it is unresolved.

    Nothing is asked over a network, and no store's library is imported.
    """
    if any(references.missing(address)):
        return None
    if says_password(address):
        return (
            "a password in the study file would be stored with every checkpoint: set it in the environment and "
            "write ${env:NAME}",
            None,
        )
    place = str(references.resolve(address))
    url = _URL.fullmatch(place)
    if url is None:
        slip = _ONE_SLASH.fullmatch(place)
        if slip is None or slip["protocol"] not in _protocols():
            if address.startswith("${") and not place.startswith("/"):  # see `root`
                return "it stands for a relative path, which is another one in every worker", None
            return None
        meant = f"{slip['protocol']}://{slip['rest']}" if place == address else None
        return f"the URL of a store begins with {slip['protocol']}://", meant
    protocol, rest = url["protocol"], url["rest"]
    if protocol == "file":
        return None if rest.startswith("/") else ("file:// is followed by an absolute path", None)
    if protocol not in _protocols():
        near = nearest(protocol, _protocols())
        plain = place == address and "::" not in protocol  # a chain of stores
        meant = f"{near}://{rest}" if near and plain else None
        return f"there is no store of the kind '{protocol}://': s3, gs, az, sftp, ...", meant
    if protocol == "memory":
        return "memory:// ends with its process: nobody could continue from there", None
    if not rest.strip("/"):
        return f"the URL names nothing behind {protocol}://", None
    if has_magic(rest):
        return "a URL with *, ? or [ cannot be told from a pattern", None
    if (package := _missing_package(protocol)) is not None:
        return (
            f"{protocol}:// needs {package}, which is not installed: pip install {package}",
            None,
        )
    return None


def says_password(address: str) -> bool:
    """Whether a part of a password stands in the text itself."""
    found = _USER.search(references.blanked(address))
    return found is not None and bool((found["password"] or "").removeprefix(":"))


def _protocols() -> frozenset[str]:
    import fsspec

    return frozenset(fsspec.available_protocols())


def _missing_package(protocol: str) -> str | None:
    """The library of a store that is not installed, or None. It is looked for, not imported."""
    from fsspec.registry import known_implementations, registry

    if protocol in registry:
        return None
    module: str = known_implementations[protocol]["class"].partition(".")[0]
    return None if importlib.util.find_spec(module) is not None else module
