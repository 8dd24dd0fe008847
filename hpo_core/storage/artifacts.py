"""Files that optuna-dashboard shows on a study's page: they lie in the study's folder, and the database names them.

A study's driver writes the file first, whole or not at all, and names it in its next commit; a file of the same name
keeps its id. A dashboard finds it in whatever folder the study has by then.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import optuna

from hpo_core.errors import DiskFullError, StorageError, disk_is_full

FOLDER = "artifacts"
_PREFIX = "artifacts:"
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def put(study: optuna.Study, folder: Path, filename: str, mimetype: str, text: str) -> None:
    """Show a file in place of the one of that name; the study's next commit says so. Raises StorageError."""
    known = _known(study, filename)
    number = known or str(uuid.uuid4())
    _write(folder / FOLDER / number, text)
    if known is None:
        about = {
            "artifact_id": number,
            "filename": filename,
            "mimetype": mimetype,
            "encoding": None,
        }
        key = f"{_PREFIX}{number}"
        study._storage.set_study_system_attr(study._study_id, key, json.dumps(about))


def _known(study: optuna.Study, filename: str) -> str | None:
    """The id of the file of that name; one that was deleted in a dashboard is unknown."""
    for key, value in study._storage.get_study_system_attrs(study._study_id).items():
        about = json.loads(value) if key.startswith(_PREFIX) else None
        if about is not None and about["filename"] == filename:
            return str(about["artifact_id"])
    return None


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        kind = DiskFullError if disk_is_full(error) else StorageError
        raise kind(f"cannot write {path}: {error.strerror}") from error


class Artifacts:
    """Optuna's protocol of an artifact store over the folders of several studies, to be looked at only.

    `folders` is asked for them each time: studies begin and end while a dashboard shows them.
    """

    def __init__(self, folders: Callable[[], Iterable[Path]]) -> None:
        self._folders = folders

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The file of an artifact. Raises ArtifactNotFound."""
        from optuna.artifacts.exceptions import ArtifactNotFound  # with it come clouds' libraries

        if _ID.fullmatch(artifact_id):  # and so no path that leads elsewhere
            for folder in self._folders():
                if (folder / FOLDER / artifact_id).is_file():
                    return (folder / FOLDER / artifact_id).open("rb")
        raise ArtifactNotFound("not found")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Called when somebody uploads a file: it is refused."""
        raise PermissionError("files are shown here, and not taken")

    def remove(self, artifact_id: str) -> None:
        """Called when somebody deletes a file: its study is shown without it, and the file stays."""
