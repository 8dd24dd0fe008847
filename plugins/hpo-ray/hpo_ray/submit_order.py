"""What `hpo submit` hands to a cluster: a folder with the study and what it needs, and the command to run in it.

Whoever can read a job server's answers sees the command, and whoever reaches the cluster can read the folder: so no
value of a secret is in either, and `${env:NAME}` is resolved on the cluster. The job's own folder is thrown away by
Ray: a study that is to continue after its job keeps its database and its files elsewhere, which is checked here.
"""

from __future__ import annotations

import json as json_module
import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hpo_core.commands import CheckedStudy, UsageError, display, read_study
from hpo_ray import submit_arrival, submit_code
from hpo_ray.submit_folder import bounded, listed

LUGGAGE = "hpo_submission"
"""The folder of what we add to the study's own files."""

SHORTEST_SECRET = 6


@dataclass(frozen=True)
class Order:
    """A job to be started. `files` says what lies where in its folder, `notes` what the user should know."""

    job: str
    study: str
    entrypoint: str
    files: Mapping[str, Path | str]
    notes: list[str]

    def write(self, folder: Path) -> None:
        """Lay the job's folder out."""
        for place, content in self.files.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_text(content, encoding="utf-8")


def prepare(
    file: Path,
    overrides: list[str],
    *,
    near: bool,
    allow_code: bool,
    working_dir: Path | None,
    env: list[str],
    json: bool,
) -> Order:
    """Check a study and pack it. Raises StudyFileError for the file, UsageError for what cannot travel."""
    _refuse_values(env)
    study = read_study(file, overrides, runs_here=False)
    notes = [f"study     {study.name}"]
    overrides = [*_executor(study, overrides, notes), *_places(study, near, notes), *overrides]
    study = read_study(file, overrides, runs_here=False)
    files = _files(study, allow_code, working_dir)
    environment = sorted({*study.environment, *env})
    _refuse_secrets(study, overrides, files, environment)
    flags = [*(["--allow-code"] if allow_code else []), *(["--json"] if json else [])]
    return Order(
        job=f"{study.name}-{secrets.token_hex(4)}",
        study=study.name,
        entrypoint=_entrypoint(_place(file, working_dir), [*overrides, *flags]),
        files=files | _luggage(study, environment),
        notes=notes,
    )


def _entrypoint(place: str, words: list[str]) -> str:
    """The shell's command of a job; a job that is stopped is `hpo` itself, and not a shell around it."""
    place = f"./{place}" if place.startswith("-") else place
    return f"python3 {LUGGAGE}/arrival.py && exec {shlex.join(['hpo', 'run', place, *words])}"


def _luggage(study: CheckedStudy, environment: list[str]) -> dict[str, Path | str]:
    """The check that runs on arrival, and what it looks for."""
    wanted = {"versions": dict(study.versions), "environment": environment}
    return {
        f"{LUGGAGE}/arrival.py": Path(submit_arrival.__file__),
        f"{LUGGAGE}/{submit_arrival.WANTED}": json_module.dumps(wanted, indent=1),
    }


def _executor(study: CheckedStudy, overrides: list[str], notes: list[str]) -> list[str]:
    """The overrides that send trials to the cluster, where the command line does not say where they run."""
    keys = {override.partition("=")[0].strip() for override in overrides}
    if keys & {"executor", "executor.name"}:
        return []
    given = study.given.get("executor")
    options = given if isinstance(given, Mapping) else {}
    name = study.understood["executor"]["name"]
    if name == "ray":
        return [] if "address" in options else ["executor.address=auto"]
    workers = f", workers: {options['workers']}" if "workers" in options else ""
    notes.append(
        f"executor  ray instead of {name} (executor={name} would run trials beside the driver)"
    )
    return [f"executor={{name: ray, address: auto{workers}}}"]


def _places(study: CheckedStudy, near: bool, notes: list[str]) -> list[str]:
    """The overrides that keep the study out of the job's folder: possible where the cluster is this machine.

    Raises UsageError for places that mean nothing on another one.
    """
    storage = study.understood["storage"]
    found: list[str] = []
    refused: list[str] = []
    if storage.startswith("sqlite:///") and _is_relative(
        path := storage.removeprefix("sqlite:///")
    ):
        found.append(f"storage=sqlite:///{Path(path).absolute()}")
        refused.append(
            f"storage: {storage} is a file on this machine: name a PostgreSQL database that the cluster reaches, with "
            "--storage '${env:HPO_STORAGE}' (set on the cluster) or --storage postgresql+psycopg://USER@HOST/NAME"
        )
    for key in ("directory", "checkpoints"):
        folder = study.understood[key]
        if folder is not None and _is_relative(folder):
            found.append(f"{key}={Path(folder).absolute()}")
            refused.append(
                f"{key}: {folder} is a folder on this machine: name one that every node of the cluster sees, with "
                f"{key}=/shared/runs{'' if key == 'directory' else ', or s3://BUCKET/FOLDER'}"
            )
    if refused and not near:
        raise UsageError("the study cannot be kept on another machine:\n  " + "\n  ".join(refused))
    notes += [f"here      {override}" for override in found]
    return found


def _is_relative(folder: str) -> bool:
    """Whether a folder depends on where the command is typed; what a variable stands for is not known here."""
    return "://" not in folder and not folder.startswith(("/", "${"))


def _files(
    study: CheckedStudy, allow_code: bool, working_dir: Path | None
) -> dict[str, Path | str]:
    """The study's own files by their place in the job's folder. Raises UsageError."""
    folder = study.path.resolve().parent
    folders = [folder, Path.cwd()]
    modules = submit_code.named(study.understood["objective"], folders)
    if modules and not allow_code:
        raise UsageError(
            f"the study runs code that lies here (module {', '.join(modules)}): say --allow-code if it is to be "
            "packed and run on the cluster"
        )
    found: dict[str, Path | str] = {}
    if working_dir is not None:
        found |= listed(working_dir, without=study.understood["directory"])
    else:
        found |= submit_code.closure(modules, folders)
    if LUGGAGE in {place.partition("/")[0] for place in found}:
        raise UsageError(f"a folder called {LUGGAGE} is in the way: rename it")
    place = _place(study.path, working_dir)
    found[place] = study.path
    if study.switches is not None:
        found[str(PurePosixPath(place).with_name(study.switches.name))] = study.switches
    bounded(found)
    return found


def _place(file: Path, working_dir: Path | None) -> str:
    """Where the study file lies in the job's folder. Raises UsageError when that is outside."""
    if working_dir is None:
        return file.name
    try:
        return file.resolve().relative_to(working_dir.resolve()).as_posix()
    except ValueError:
        raise UsageError(f"{file} is not in --working-dir {working_dir}") from None


def _refuse_values(env: list[str]) -> None:
    """Raise UsageError for a variable that is given with its value."""
    for name in env:
        if not name.isidentifier():
            raise UsageError(
                f"--env {name.partition('=')[0]}: only a name is sent, never a value: set it where the cluster's "
                "`ray start` is called"
            )


def _refuse_secrets(
    study: CheckedStudy,
    overrides: list[str],
    files: Mapping[str, Path | str],
    environment: list[str],
) -> None:
    """Raise UsageError where the value of a secret would be sent instead of its name."""
    for key in ("storage", "checkpoints"):
        address = study.understood[key] or ""
        if display(address) != address:
            raise UsageError(
                f"{key}: {display(address)} has a password in it: put the address into a variable on the cluster and "
                "name that, as ${env:HPO_STORAGE}"
            )
    for name in environment:
        value = os.environ.get(name, "")
        if len(value) < SHORTEST_SECRET:
            continue
        if any(value in override for override in overrides):
            raise UsageError(f"an override holds the value of {name}: write ${{env:{name}}}")
        for place, content in files.items():
            if isinstance(content, Path) and value.encode() in content.read_bytes():
                raise UsageError(f"{place} holds the value of {name}: nothing secret is packed")
