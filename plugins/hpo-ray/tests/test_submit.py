"""`hpo submit` up to the point where it talks to a cluster: what may be asked of whom, what is packed, what is not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from hpo_ray import jobs_address, submit_arrival, submit_folder, submit_order
from hpo_ray.submit_log import Lines
from hpo_ray.submit_order import LUGGAGE, Order

from hpo_core.commands import UsageError
from hpo_core.errors import StudyFileError

HPO = str(Path(sys.executable).with_name("hpo"))
NOBODY = "http://127.0.0.1:1"
STUDY = """\
study: hills
metric: {name: value, goal: minimize}
budget: {trials: 4}
objective: {name: python, call: 'hills:height', arguments: {x: {float: [0, 1]}}}
sampler: random
"""

Prepare = Callable[..., Order]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study and the code that it names, where the commands are typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hills.yaml").write_text(STUDY)
    (tmp_path / "hills.py").write_text("def height(x): return x * x\n")
    return tmp_path


@pytest.fixture
def prepare(folder: Path) -> Prepare:
    """Prepare the study of `folder` for a cluster on this machine, unless said otherwise."""

    def order(*overrides: str, file: str = "hills.yaml", **changes: object) -> Order:
        settings: dict[str, object] = {
            "near": True,
            "allow_code": True,
            "working_dir": None,
            "env": [],
            "json": False,
        }
        return submit_order.prepare(Path(file), list(overrides), **(settings | changes))  # type: ignore[arg-type]

    return order


FAR = ("storage=${env:DB}", "directory=/shared/runs")


@pytest.mark.parametrize(
    ("text", "url", "near"),
    [
        ("http://127.0.0.1:8265", "http://127.0.0.1:8265", True),
        ("http://127.8.8.8:1", "http://127.8.8.8:1", True),
        ("localhost", "http://localhost:8265", True),
        ("http://[::1]:9", "http://[::1]:9", True),
        ("https://ray.example/", "https://ray.example:443", False),
        ("http://localhost.example:8265", "http://localhost.example:8265", False),
        ("http://0.0.0.0:8265", "http://0.0.0.0:8265", False),
        ("10.0.0.8:8265", "http://10.0.0.8:8265", False),
    ],
)
def test_addresses(text: str, url: str, near: bool) -> None:
    address = jobs_address.parse(text)
    assert (address.url, address.near) == (url, near)


@pytest.mark.parametrize(
    "text",
    [
        "auto",
        "ray://10.0.0.8:10001",
        "http://",
        "http://a:b",
        "http://a:99999",
        "http://a/b",
        "x:y:z",
    ],
)
def test_what_is_no_address_of_a_job_server_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--address"):
        jobs_address.parse(text)


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError) as refused:
        jobs_address.parse("http://me:hunter2@10.0.0.8")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_machine_is_talked_to_with_a_token_or_on_the_users_word(scheme: str) -> None:
    far, near = (
        jobs_address.parse(f"{scheme}://{host}:8265") for host in ("10.0.0.8", "127.0.0.1")
    )
    with pytest.raises(UsageError, match=r"RAY_AUTH_MODE=token.*--insecure"):
        jobs_address.permit(far, token=False, insecure=False)
    jobs_address.permit(far, token=True, insecure=False)
    jobs_address.permit(far, token=False, insecure=True)
    jobs_address.permit(near, token=False, insecure=False)


def test_the_order_has_the_study_as_written_the_code_and_the_versions(prepare: Prepare) -> None:
    order = prepare("budget.trials=7")
    assert sorted(order.files) == [
        "hills.py",
        "hills.yaml",
        f"{LUGGAGE}/arrival.py",
        f"{LUGGAGE}/wanted.json",
    ]
    written = Path("written")
    order.write(written)
    assert (written / "hills.yaml").read_text() == STUDY
    wanted = json.loads((written / LUGGAGE / "wanted.json").read_text())
    names = {"hpo-core", "hpo-local", "hpo-ray", "hpo-search"}
    assert wanted == {"versions": {name: version(name) for name in names}, "environment": []}
    assert order.entrypoint.startswith(f"python3 {LUGGAGE}/arrival.py && exec hpo run hills.yaml ")
    assert order.entrypoint.endswith(" budget.trials=7 --allow-code")
    assert "'executor={name: ray, address: auto}'" in order.entrypoint
    assert order.study == "hills" and order.job.startswith("hills-")


def test_what_switches_plugins_off_travels_with_the_study(prepare: Prepare, folder: Path) -> None:
    """It is on the cluster where it is found first: beside the study file."""
    text = '[plugins]\ndisable = ["hpo-trackers"]\n'
    (folder / "hpo.toml").write_text(text)
    (folder / "studies").mkdir()
    (folder / "hills.yaml").rename(folder / "studies" / "hills.yaml")
    order = prepare(file="studies/hills.yaml")
    order.write(Path("written"))
    assert (folder / "written" / "hpo.toml").read_text() == text
    order = prepare(file="studies/hills.yaml", working_dir=folder)
    order.write(Path("whole"))
    assert (folder / "whole" / "studies" / "hpo.toml").read_text() == text


@pytest.mark.parametrize(
    ("written", "overrides", "expected"),
    [
        ("{name: processes, workers: 3}", [], "executor={name: ray, address: auto, workers: 3}"),
        ("processes", ["executor=inline"], None),
        ("processes", ["executor.name=inline"], None),
        ("{name: ray, workers: 3}", [], "executor.address=auto"),
        ("{name: ray, address: local}", [], None),
    ],
)
def test_trials_run_on_the_cluster_unless_the_study_says_otherwise(
    prepare: Prepare, written: str, overrides: list[str], expected: str | None
) -> None:
    Path("hills.yaml").write_text(f"{STUDY}executor: {written}\n")
    entrypoint = prepare(*overrides).entrypoint
    if expected is None:
        assert "address" not in entrypoint and "name: ray" not in entrypoint
    else:
        assert expected in entrypoint


def test_on_this_machine_the_study_is_kept_where_it_always_was(
    prepare: Prepare, folder: Path
) -> None:
    entrypoint = prepare().entrypoint
    assert f"storage=sqlite:///{folder}/runs/hpo.db directory={folder}/runs" in entrypoint
    elsewhere = prepare("storage=sqlite:////other/x.db", "directory=/other").entrypoint
    assert str(folder) not in elsewhere


def test_what_lies_on_this_machine_alone_is_refused_on_another_all_at_once(
    prepare: Prepare,
) -> None:
    with pytest.raises(UsageError) as refused:
        prepare(near=False)
    assert "storage: sqlite:///runs/hpo.db" in str(refused.value)
    assert "--storage '${env:HPO_STORAGE}'" in str(refused.value)
    assert "directory: runs" in str(refused.value) and "checkpoints" not in str(refused.value)
    with pytest.raises(UsageError, match="checkpoints: kept is a folder on this machine"):
        prepare(*FAR, "checkpoints=kept", near=False)
    assert "'storage=${env:DB}' directory=/shared/runs" in prepare(*FAR, near=False).entrypoint


def test_secrets_travel_by_name(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB", raising=False)  # the cluster has it
    order = prepare(*FAR, near=False, env=["OTHER_TOKEN"])
    wanted = json.loads(str(order.files[f"{LUGGAGE}/wanted.json"]))
    assert wanted["environment"] == ["DB", "OTHER_TOKEN"]


@pytest.mark.parametrize(
    ("overrides", "env", "reason"),
    [
        (["storage=postgresql://me:hunter2secret@db/hpo"], [], "has a password in it"),
        ([*FAR, "seed=${env:DB}", "x-note=hunter2secret"], [], "an override holds the value of DB"),
        ([], ["DB=hunter2secret"], "only a name is sent"),
        ([], ["MINE"], "hills.py holds the value of MINE"),
    ],
)
def test_values_of_secrets_are_refused_and_not_shown(
    prepare: Prepare,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    env: list[str],
    reason: str,
) -> None:
    monkeypatch.setenv("DB", "hunter2secret")
    monkeypatch.setenv("MINE", "def height")
    overrides = [override for override in overrides if not override.startswith("seed")]
    with pytest.raises(UsageError) as refused:
        prepare(*overrides, env=env)
    assert reason in str(refused.value) and "hunter2secret" not in str(refused.value)


def test_code_is_packed_only_when_that_is_allowed(prepare: Prepare) -> None:
    with pytest.raises(UsageError, match=r"module hills.*--allow-code"):
        prepare(allow_code=False)
    Path("hills.py").unlink()  # installed on the cluster, then
    order = prepare(allow_code=False)
    assert "hills.py" not in order.files and "--allow-code" not in order.entrypoint


def test_code_brings_what_it_imports_and_nothing_else(prepare: Prepare, folder: Path) -> None:
    sources = {
        "hills.py": "import json, shapes.round\ndef height(x):\n    from helpers_of_mine import h\n    return h(x)\n",
        "shapes/__init__.py": "",
        "shapes/round.py": "from . import edge\nfrom .deep.down import here\n",
        "shapes/edge.py": "",
        "shapes/deep/down.py": "here = 1\nimport shapes\n",
        "shapes/unused.py": "",
        "helpers_of_mine.py": "import hills\nh = abs\n",
        "json_of_mine.py": "",
        "secret.txt": "",
    }
    for place, text in sources.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    packed = {place for place in prepare().files if not place.startswith(LUGGAGE)}
    unused = {"shapes/unused.py", "json_of_mine.py", "secret.txt"}
    assert packed == {*sources, "hills.yaml"} - unused


def test_code_that_lies_elsewhere_or_is_none_is_refused(
    prepare: Prepare, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "hills.py").write_text("def height(x:\n")
    with pytest.raises(UsageError, match=r"hills\.py is no Python"):
        prepare()
    outside = tmp_path_factory.mktemp("outside") / "hills.py"
    outside.write_text("def height(x): return x\n")
    (folder / "hills.py").unlink()
    (folder / "hills.py").symlink_to(outside)
    with pytest.raises(UsageError, match="nothing outside is packed"):
        prepare()


def test_a_folder_is_packed_without_what_is_hidden_or_was_made_by_running(
    prepare: Prepare, folder: Path
) -> None:
    for place in (
        ".env",
        ".git/config",
        "__pycache__/a.pyc",
        "runs/hpo.db",
        "data/a.csv",
        "in/b.yaml",
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(STUDY)
    order = prepare(file="in/b.yaml", working_dir=Path())
    packed = {place for place in order.files if not place.startswith(LUGGAGE)}
    assert packed == {"hills.yaml", "hills.py", "data/a.csv", "in/b.yaml"}
    assert "exec hpo run in/b.yaml " in order.entrypoint
    with pytest.raises(UsageError, match="is not in --working-dir"):
        prepare(working_dir=folder / "data")
    with pytest.raises(UsageError, match="there is no such folder"):
        prepare(working_dir=folder / "nowhere")
    (folder / "data" / "link").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="nothing outside is packed"):
        prepare(working_dir=folder)


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(
    prepare: Prepare, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_folder, "MAX_BYTES", 3 * submit_folder.MEBIBYTE)
    for name, size in (("a.bin", 1), ("b.bin", 3)):
        (folder / name).write_bytes(bytes(size * submit_folder.MEBIBYTE))
    with pytest.raises(
        UsageError, match=r"4 MiB, of at most 3: b\.bin \(3 MiB\), a\.bin \(1 MiB\)"
    ):
        prepare(working_dir=folder)
    assert "a.bin" not in prepare().files


def test_problems_of_the_study_come_first(prepare: Prepare) -> None:
    with pytest.raises(StudyFileError):
        prepare("budget.trials=many", near=False)


@pytest.fixture
def arrive(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a copy of the arrival check, as a job does."""

    def run(
        versions: dict[str, str], environment: tuple[str, ...] = (), path: str = os.environ["PATH"]
    ) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "arrival.py"
        script.write_text(Path(submit_arrival.__file__).read_text())
        luggage = {"versions": versions, "environment": list(environment)}
        (tmp_path / "wanted.json").write_text(json.dumps(luggage))
        path = f"{path}{os.pathsep}{Path(sys.executable).parent}" if path else "/nowhere"
        return subprocess.run(
            [sys.executable, str(script)],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_a_cluster_with_the_same_versions_goes_on(
    arrive: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = arrive({"hpo-core": version("hpo-core")}, ("HOME",))
    assert (done.returncode, done.stderr) == (0, "")


def test_other_versions_end_the_job_with_a_table(
    arrive: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = arrive({"hpo-core": "99.1", "hpo-local": version("hpo-local"), "hpo-thermo": "1.0"})
    assert done.returncode == 4
    assert "  distribution  submitted with  on the cluster\n" in done.stderr
    assert f"  hpo-core      99.1            {version('hpo-core')}\n" in done.stderr
    assert "  hpo-thermo    1.0             not installed\n" in done.stderr
    assert "hpo-local" not in done.stderr


def test_what_the_cluster_lacks_is_named(
    arrive: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    unset = arrive({}, ("HOME", "NOT_SET_ANYWHERE"))
    assert unset.returncode == 3
    assert "not set on the cluster: NOT_SET_ANYWHERE:" in unset.stderr
    without = arrive({}, path="")
    assert without.returncode == 4
    assert "there is no command `hpo`" in without.stderr


def test_a_log_is_parted_into_events_and_the_rest() -> None:
    text = 'starting\n{"event": "report", "seq": 1}\n{"event": 3}\n{no json\ntrial 1\nlast'
    for size in (1, 7, 1000):
        out, err = io.StringIO(), io.StringIO()
        lines = Lines(out, err, events=True)
        for begin in range(0, len(text), size):
            lines.write(text[begin : begin + size])
        lines.close()
        assert out.getvalue() == '{"event": "report", "seq": 1}\n'
        assert err.getvalue() == 'starting\n{"event": 3}\n{no json\ntrial 1\nlast\n'
    out, err = io.StringIO(), io.StringIO()
    Lines(out, err, events=False).write('{"event": "report", "seq": 1}\n')
    assert (out.getvalue(), err.getvalue()) == ("", '{"event": "report", "seq": 1}\n')


def submit(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`hpo submit`, typed in the current folder."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return subprocess.run(
        [HPO, "submit", *words],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_bad_study_is_refused_with_its_place_before_anybody_is_asked(folder: Path) -> None:
    (folder / "stop").write_text(STUDY.replace("trials:", "trails:"))
    done = submit("./stop", "--address", "http://192.0.2.1:8265")
    assert done.returncode == 3
    assert "stop:3:10: budget.trails: " in done.stderr and "did you mean 'trials'?" in done.stderr


def test_nobody_there_is_said_at_once(folder: Path) -> None:
    done = submit("hills.yaml", "executor=inline", "--allow-code", "--address", NOBODY)
    assert done.returncode == 2 and "error: nobody answers at http://127.0.0.1:1" in done.stderr
    stopped = submit("stop", "some-job", RAY_API_SERVER_ADDRESS=NOBODY)
    assert stopped.returncode == 2 and "nobody answers" in stopped.stderr


@pytest.mark.parametrize("command", [("stop", "job"), ("hills.yaml",)])
def test_no_command_talks_to_another_machine_without_a_token(
    folder: Path, command: tuple[str, ...]
) -> None:
    far = [*FAR, "executor=inline", "--allow-code"] if command == ("hills.yaml",) else []
    done = submit(*command, *far, "--address", "http://192.0.2.1:8265")
    assert done.returncode == 2
    assert "192.0.2.1:8265 is another machine and no token" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_that_is_not_there_is_said(folder: Path) -> None:
    done = submit("list", "--address", NOBODY, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH="/nope")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "no token of Ray's for http://127.0.0.1:1: RAY_AUTH_TOKEN_PATH is set but" in done.stderr


def test_the_help_shows_how_to_submit_and_what_comes_then(folder: Path) -> None:
    shown = submit("--help")
    assert shown.returncode == 0
    assert "--detach" in shown.stdout and "hpo submit stop JOB" in shown.stdout
    assert submit("logs", "--help").stdout.startswith("Usage: hpo submit logs ")
