"""`hpo submit`: the same study as a job on a Ray cluster, which goes on when this machine is switched off.

`hpo submit FILE` checks the study here, packs it, starts the job and shows its log as `hpo run` would show the study's
progress; its exit code is the job's. `hpo submit stop|logs|list` are `ray job`'s words for what can be done with a job
then. What is slow to import stands in the functions' bodies.
"""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

STUDY = "study"
"""The command that is meant where none of the others is named."""


class _StudyFirst(TyperGroup):
    """A group whose first word may as well be a study file. A file called as a command is written `./stop`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and args[0] in self.commands
        return super().parse_args(ctx, args if named else [STUDY, *args])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return None if name == STUDY else name, command, rest  # what nobody types is not shown


app = typer.Typer(
    cls=_StudyFirst,
    add_completion=False,
    rich_markup_mode=None,
    help="Run a study as a job on a Ray cluster.",
)

Address = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        envvar="RAY_API_SERVER_ADDRESS",
        help="The cluster's dashboard, as http://127.0.0.1:8265.",
        show_default=False,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Talk to another machine without a token of Ray's."),
]
Job = Annotated[
    str, typer.Argument(metavar="JOB", help="As `hpo submit` printed it.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@app.command(
    STUDY,
    hidden=True,
    epilog="Then: `hpo submit logs JOB`, `hpo submit stop JOB`, `hpo submit list`.",
)
def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study file.")],
    address: Address,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value ...]", help="Values instead of the file's."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Short for storage=URL.")
    ] = None,
    working_dir: Annotated[
        Path | None,
        typer.Option(
            "--working-dir",
            metavar="DIR",
            help="Pack this folder, which the study file is in, and begin there.",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME", help="A variable that must be set on the cluster."),
    ] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Pack and run the code that the study names.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the job's name and leave it alone.")
    ] = False,
    insecure: Insecure = False,
    json: Json = False,
) -> None:
    """Run a study as a job on a Ray cluster, or continue it there to the same total."""
    from hpo_ray import jobs_address, submit_order
    from hpo_ray.jobs import JobServer

    given = [*(overrides or []), *([f"storage={storage}"] if storage is not None else [])]
    order = submit_order.prepare(
        file,
        given,
        near=jobs_address.parse(address).near,
        allow_code=allow_code,
        working_dir=working_dir,
        env=env or [],
        json=json and not detach,
    )
    for line in order.notes:
        _say(line)
    server = JobServer.at(address, insecure=insecure)
    job = server.submit(order)
    _say(f"job       {job} on {server.address}")
    if not detach:
        return _follow(server, job, json)
    _say_how(server, job)
    print(
        json_module.dumps({"job": job, "address": server.address, "study": order.study})
        if json
        else job
    )


@app.command()
def stop(job: Job, address: Address, insecure: Insecure = False) -> None:
    """Stop a job. Its study keeps all that was stored, and continues when it is submitted again."""
    from hpo_ray.jobs import JobServer

    server = JobServer.at(address, insecure=insecure)
    if server.stop(job):
        _say(f"job {job} has stopped; the same `hpo submit` continues its study")
    else:
        _say(f"job {job} is not running")


@app.command()
def logs(
    job: Job,
    address: Address,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Until the job ends; its exit code is ours.")
    ] = False,
    insecure: Insecure = False,
) -> None:
    """Print what a job has written."""
    from hpo_ray.jobs import JobServer

    server = JobServer.at(address, insecure=insecure)
    if follow:
        return _follow(server, job, json=False)
    print(server.log(job), end="")


@app.command("list")
def list_jobs(address: Address, insecure: Insecure = False, json: Json = False) -> None:
    """The jobs that `hpo submit` has started on a cluster."""
    from hpo_ray.jobs import JobServer

    found = JobServer.at(address, insecure=insecure).jobs()
    if json:
        return print(json_module.dumps(found, indent=2))
    rows = [
        ("job", "study", "status"),
        *((row["job"], row["study"], row["status"]) for row in found),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for row in rows:
        print(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}")


def _follow(server: Any, job: str, json: bool) -> None:
    """Show a job's log until it ends, and end with its exit code; Ctrl-C leaves the job alone."""
    from hpo_ray.submit_log import Lines

    lines = Lines(sys.stdout, sys.stderr, events=json)
    try:
        code = server.follow(job, lines.write)
    except KeyboardInterrupt:
        _say(f"\njob {job} goes on without you")
        _say_how(server, job)
        code = 130
    finally:
        lines.close()
    raise typer.Exit(code)


def _say_how(server: Any, job: str) -> None:
    _say(f"follow    {server.command('logs', '--follow', job)}")
    _say(f"stop      {server.command('stop', job)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
