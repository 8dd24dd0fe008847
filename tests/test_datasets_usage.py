"""What used which version: trials record it by themselves, and only where it is known to the byte."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from registered import register
from stored import MakeSpec, RunStudy, rows, stored
from test_datasets_files import fill
from test_reading import Hpo
from test_reading import hpo as hpo

from hpo_core import Component, Event, Kind, Run
from hpo_core.catalog import Catalog, Entry
from hpo_core.datasets import local_files
from hpo_core.datasets.datasets import Datasets
from hpo_core.datasets.used import Used
from hpo_core.errors import UsageError
from hpo_core.registry.lineage import lineage
from hpo_core.registry.origin import origin_of
from hpo_core.spec import StudySpec
from hpo_core.storage import studies


def learning(
    run: Run,
    *,
    x: float,
    y: float = 0.0,
    dataset: Annotated[Component, Kind("datasets")],
) -> None:
    """An objective with a dataset, which it does not read."""
    with run.checkpoint(1) as folder:
        (folder / "model.safetensors").write_text(f"{x}")
    run.report(1, {"loss": x * x})


def files(seed: int, *, path: str, root: str = "an option of that name") -> None:
    """A dataset that reads files."""


def drawn(seed: int) -> None:
    """A dataset that reads none."""


def _location(options: Mapping[str, Any]) -> str:
    return str(options["path"])


files.location = _location  # type: ignore[attr-defined]  # an attribute that others look for

Learn = Callable[..., StudySpec]


@pytest.fixture
def learn(make_spec: MakeSpec, catalog: Catalog) -> Learn:
    """A study whose objective learns from a dataset, in YAML."""
    for kind, factory in (("objectives", learning), ("datasets", files), ("datasets", drawn)):
        catalog.add(Entry(kind, factory.__name__, factory, "tests", "tests"))

    def spec(dataset: str, trials: int = 2, **changes: str) -> StudySpec:
        own = {"{name: bowl,": f"{{name: learning, dataset: {dataset},"}
        return make_spec(trials=trials, **own, **changes)

    return spec


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return fill(tmp_path / "data", a="1", b="2")


@pytest.fixture
def datasets(tmp_path: Path, learn: Learn) -> Iterator[Datasets]:
    """Versions in the database of the studies."""
    learn("drawn")  # makes the database
    opened = Datasets.open(f"sqlite:///{tmp_path}/hpo.db")
    yield opened
    opened.engine.dispose()


def recorded(events: list[Event]) -> list[Any]:
    return [event.data.get("data") for event in events if event.kind == "trial_started"]


def test_a_trial_records_the_version_that_it_learns_from(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    version = datasets.create("pets", str(data)).version
    spec = learn(f"{{name: files, path: {data}}}", **{"seed: 3": "seed: 3\nregister: {best_as: m}"})
    events = run(spec)
    said = {"dataset_root": version.root, "dataset_version": "pets@1"}
    assert recorded(events) == [said, said]
    assert [row.attributes["dataset_version"] for row in rows(spec)] == ["pets@1"] * 2
    record = studies.called(datasets.engine, "bowl")
    origin = origin_of(datasets.engine, record, 0)
    assert origin["dataset"] == {
        "name": "files",
        "path": str(data),
        "root": "an option of that name",
        **said,
    }
    found = datasets.runs("pets")
    assert [(each.study, each.trial, each.recorded) for each in found] == [
        ("bowl", 0, True),
        ("bowl", 1, True),
    ]
    assert [use.trials for use in datasets.for_run("bowl")] == [(0, 1)]
    assert [use.version for use in datasets.for_run("bowl", 1)] == [version]
    with pytest.raises(UsageError, match="pets@1 was used by trial 0 of study bowl and 1 more"):
        datasets.delete("pets")


def test_a_model_leads_to_the_version_and_back(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy, tmp_path: Path
) -> None:
    datasets.create("pets", str(data))
    run(learn(f"{{name: files, path: {data}}}"))
    record = studies.called(datasets.engine, "bowl")
    origin = origin_of(datasets.engine, record, 1)
    about: dict[str, Any] = {"study_id": record.study_id, "trial": 1, "provenance": origin}
    model = register(datasets.engine, tmp_path, **about)
    lines = list(lineage(datasets.engine, model).lines())
    assert any(line.strip().startswith("data pets@1: name files") for line in lines)
    assert [run.models for run in datasets.runs("pets@1")] == [(), ("digits@1",)]
    (tmp_path / "elsewhere").mkdir()
    for path in data.iterdir():
        (tmp_path / "elsewhere" / path.name).write_bytes(path.read_bytes())
    other = datasets.create("copy", str(tmp_path / "elsewhere")).version
    assert len(datasets.runs(other.label)) == 2  # the same bytes under another name


@pytest.mark.parametrize("case", ["nothing registered", "another place", "drawn"])
def test_what_is_not_known_is_not_claimed(
    case: str,
    datasets: Datasets,
    data: Path,
    learn: Learn,
    run: RunStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no folder is even listed that nothing was registered from."""
    if case != "nothing registered":
        datasets.create("pets", str(data))
    listed: list[object] = []

    def note(self: object) -> Iterator[Any]:
        listed.append(self)
        return iter(())

    monkeypatch.setattr(local_files.LocalFiles, "listed", note)
    place = fill(tmp_path / "other", a="1", b="2") if case == "another place" else data
    spec = learn("drawn" if case == "drawn" else f"{{name: files, path: {place}}}")
    events = run(spec)
    assert recorded(events) == [None, None] and listed == []
    assert [event for event in events if event.kind == "warning"] == []
    record = studies.called(datasets.engine, "bowl")
    assert "dataset_root" not in origin_of(datasets.engine, record, 0)["dataset"]
    assert "dataset_root" not in rows(spec)[0].attributes
    if case != "nothing registered":
        assert datasets.runs("pets") == []


def test_files_that_have_changed_are_a_warning_and_no_version(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    """Also where only a byte did, and the time of modification was put back."""
    datasets.create("pets", str(data))
    before = os.stat(data / "a")
    (data / "a").write_text("9")
    os.utime(data / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    events = run(learn(f"{{name: files, path: {data}}}"))
    assert recorded(events) == [None, None]
    (warning,) = [event.data["reason"] for event in events if event.kind == "warning"]
    assert warning == (
        f"the files in {data} are not those of pets@1 any more, nor of another version: "
        f"hpo data register pets {data}"
    )
    assert datasets.runs("pets") == []


def test_what_a_place_refers_to_is_not_told(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE_PETS_ARE", str(data))
    version = datasets.create("pets", str(data)).version
    spec = learn("{name: files, path: '${env:WHERE_PETS_ARE}'}")
    assert recorded(run(spec))[0]["dataset_root"] == version.root
    (data / "c").write_text("3")
    events = run(spec, more=1)
    (warning,) = [event.data["reason"] for event in events if event.kind == "warning"]
    assert "the files in ${env:WHERE_PETS_ARE} are not those of pets@1" in warning
    assert str(data) not in warning


def test_each_trial_has_the_version_of_its_own_start(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    datasets.create("pets", str(data))
    spec = learn(f"{{name: files, path: {data}}}")
    run(spec)
    (data / "c").write_text("3")
    datasets.create("pets", str(data))
    run(spec, more=1)
    labels = [(said or {}).get("dataset_version") for said in recorded(stored(spec))]
    assert labels == ["pets@1", "pets@1", "pets@2"]
    assert [use.version.label for use in datasets.for_run("bowl")] == ["pets@1", "pets@2"]


def test_a_choice_of_datasets_is_told_apart(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy, tmp_path: Path
) -> None:
    other = fill(tmp_path / "other", z="9")
    datasets.create("pets", str(data))
    datasets.create("others", str(other))
    choice = f"{{name: files, path: {{choice: [{data}, {other}]}}}}"
    spec = learn(f"{{choice: [drawn, {choice}]}}", trials=12)
    run(spec)
    for row in rows(spec):
        path = next((value for key, value in row.params.items() if key.endswith("path")), None)
        wanted = None if path is None else "pets@1" if path == str(data) else "others@1"
        assert row.attributes.get("dataset_version") == wanted
    assert {row.attributes.get("dataset_version") for row in rows(spec)} == {
        None,
        "pets@1",
        "others@1",
    }


def test_a_large_folder_is_not_listed_for_every_trial(
    datasets: Datasets, data: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing takes a second here: no more than a twentieth of the time goes into it."""
    datasets.create("pets", str(data))
    now, listed = [0.0], [0]
    monkeypatch.setattr("hpo_core.datasets.used.time.monotonic", lambda: now[0])
    list_files = local_files.LocalFiles.listed

    def slow(self: local_files.LocalFiles) -> Any:
        now[0] += 1.0
        listed[0] += 1
        return list_files(self)

    monkeypatch.setattr(local_files.LocalFiles, "listed", slow)
    used = Used(datasets.engine, catalog, lambda said: pytest.fail(said))
    config = {"dataset": {"name": "files", "path": str(data)}}
    for _ in range(100):
        now[0] += 1.0
        assert used("learning", config)
    assert listed[0] == 5


def test_what_somebody_says_is_told_with_it(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    datasets.create("pets", str(data))
    run(learn("drawn"))
    datasets.link("pets", "bowl", role="test")
    datasets.link("pets", "bowl", 1)
    datasets.link("pets", "bowl", 1)
    found = [(each.trial, each.role, each.recorded) for each in datasets.runs("pets")]
    assert sorted(found, key=str) == [(1, "training", False), (None, "test", False)]
    assert {(use.role, use.trials) for use in datasets.for_run("bowl")} == {
        ("test", ()),
        ("training", (1,)),
    }
    assert [use.role for use in datasets.for_run("bowl", 0)] == ["test"]
    with pytest.raises(UsageError, match="no trial 7"):
        datasets.link("pets", "bowl", 7)
    with pytest.raises(UsageError, match=r"no study 'bow'.*did you mean 'bowl'"):
        datasets.link("pets", "bow")
    with pytest.raises(UsageError, match="pets@1 was used by "):
        datasets.delete("pets")
    assert datasets.delete("pets", force=True).deleted


def test_a_link_is_not_that_of_a_study_which_got_the_same_number(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    datasets.create("pets", str(data))
    run(learn("drawn"))
    datasets.link("pets", "bowl", role="test")
    assert [use.role for use in datasets.for_run("bowl")] == ["test"]
    with datasets.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE studies SET study_name = 'another'")
    assert datasets.for_run("another") == []


def test_a_link_leads_to_the_models_and_back(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy, tmp_path: Path
) -> None:
    """Of the trial that it is about, or of all; and a recorded trial is not told again as linked."""
    for name in ("pets", "others"):
        datasets.create(name, str(data))
        (data / name).write_text("more")
    run(learn("drawn"))
    record = studies.called(datasets.engine, "bowl")
    models = [
        register(datasets.engine, tmp_path, study_id=record.study_id, trial=number)
        for number in (0, 1)
    ]
    datasets.link("pets", "bowl", 1)
    datasets.link("others", "bowl", role="test")
    assert [(run.trial, run.models) for run in datasets.runs("pets")] == [(1, ("digits@2",))]
    assert [run.models for run in datasets.runs("others")] == [("digits@1", "digits@2")]
    root = datasets.get("pets").root
    found = lineage(datasets.engine, models[1])
    assert f"    data pets@1: dataset_root {root} (linked by hand as training)" in found.lines()
    trial, study = f"trial:{record.study_id}/1", f"study:{record.study_id}"
    edges = {edge for edge in found.edges if edge[0].startswith("data:pets@")}
    assert edges == {("data:pets@1", trial, "linked by hand as training")}
    assert ("data:others@1", study, "linked by hand as test") in found.edges
    ids = [node.id for node in lineage(datasets.engine, models[0]).nodes]
    assert "data:others@1" in ids and "data:pets@1" not in ids


def test_what_is_recorded_and_what_is_said_are_told_apart(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    datasets.create("pets", str(data))
    run(learn(f"{{name: files, path: {data}}}"))
    datasets.link("pets", "bowl", 0)

    def told(trial: int | None = None) -> list[tuple[bool, tuple[int, ...]]]:
        return [(use.recorded, use.trials) for use in datasets.for_run("bowl", trial)]

    assert told() == [(True, (0, 1))]  # the link says nothing new
    datasets.link("pets", "bowl")
    assert told() == [(True, (0, 1)), (False, ())]
    assert told(1) == [(True, (1,)), (False, ())]
    assert [(each.trial, each.recorded) for each in datasets.runs("pets")] == [
        (None, False),
        (0, True),
        (1, True),
    ]


# ---- the command line ----


def test_the_commands_and_their_json(
    hpo: Hpo, datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    done = hpo("data", "register", "pets", "data", "--made", "by hand", "--tag", "clean")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("pets@1: 2 files, 2 B, root ") and "2 of them read" in done.out
    assert hpo("data", "register", "pets", "data", "--json").json["read"] == 0
    run(learn(f"{{name: files, path: {data}}}"))
    (data / "b").rename(data / "c")
    (data / "recipe.yaml").write_text("flip: 0.5\n")
    made = hpo("data", "register", "pets", "data", "--recipe", "data/recipe.yaml", "--json").json
    assert (made["version"], made["made"], made["parent"]) == (
        2,
        {"recipe": {"flip": 0.5}},
        "pets@1",
    )
    (listed,) = hpo("data", "list", "--json").json
    assert (listed["name"], listed["version"], listed["tags"]) == ("pets", 2, [])
    assert [each["tags"] for each in hpo("data", "versions", "pets", "--json").json] == [
        ["clean"],
        [],
    ]
    assert hpo("data", "show", "pets@clean", "--json").json["version"] == 1
    assert hpo("data", "compare", "pets@1", "pets@2", "--json").json["moved"] == [
        {"from": "b", "to": "c"}
    ]
    assert "moved b -> c" in hpo("data", "compare", "pets@1", "pets@2").out
    assert hpo("data", "sizes", "pets", "--json").json["kinds"][".yaml"] == [1, 10]
    assert [each["trial"] for each in hpo("data", "runs", "pets@1", "--json").json] == [0, 1]
    assert hpo("data", "used", "bowl", "--json").json[0]["version"] == "pets@1"
    assert hpo("data", "lineage", "pets", "--json").json["ancestors"][0]["made"] == {
        "text": "by hand"
    }
    assert hpo("data", "link", "pets", "bowl", "0", "--role", "test").code == 0
    assert hpo("data", "snapshot", "pets", "--json").json["copied"] == 3
    assert hpo("data", "restore", "pets", "to").out == "to: 3 files\n"
    assert hpo("data", "check", "pets", "--at", "to").out.endswith(
        "3 files are as they were registered\n"
    )
    for words in (
        "list",
        "versions pets",
        "show pets",
        "sizes pets",
        "runs pets@1",
        "used bowl",
        "lineage pets",
    ):
        shown = hpo("data", *words.split())
        assert shown.code == 0 and ("pets" in shown.out or "bowl" in shown.out), words


def test_a_check_names_every_file_and_ends_with_an_error(
    hpo: Hpo, datasets: Datasets, data: Path
) -> None:
    hpo("data", "register", "pets", "data")
    (data / "a").unlink()
    (data / "b").write_text("x")
    (data / "c").write_text("new")
    done = hpo("data", "check", "pets")
    assert (done.code, done.out) == (5, "pets@1: NOT AS IT WAS\n")
    assert done.err == "error: missing: a\nerror: changed: b\nerror: extra: c\n"
    shown = hpo("data", "check", "pets", "--json")
    assert shown.code == 5 and '"missing": ["a"]' in shown.out


def test_tags_and_deletions_by_command(hpo: Hpo, datasets: Datasets, data: Path) -> None:
    hpo("data", "register", "pets", "data")
    assert hpo("data", "tag", "pets", "clean").out == "pets@1 is pets@clean now\n"
    assert hpo("data", "delete", "pets").code == 2
    assert hpo("data", "untag", "pets@clean").out == "pets@1 is no longer pets@clean\n"
    assert hpo("data", "untag", "pets").code == 2
    assert hpo("data", "delete", "pets").code == 0
    assert hpo("data", "show", "pets").code == 2
    (gone,) = hpo("data", "versions", "pets", "--deleted", "--json").json
    assert gone["deleted"] is not None
    shown = hpo("data", "show", "pets@1")
    assert shown.code == 2 and "no version of a dataset 'pets'" in shown.err
    (data / "wrong.yaml").write_text("- 1")
    done = hpo("data", "register", "pets", "data", "--recipe", "data/wrong.yaml")
    assert done.code == 2 and "holds no mapping" in done.err
    assert hpo("data", "register", "pets", "nowhere").code == 2


def test_the_history_of_a_deleted_version_stays_readable(
    hpo: Hpo, datasets: Datasets, data: Path, learn: Learn, run: RunStudy, tmp_path: Path
) -> None:
    """Of the only version of a dataset, and of one beside another; what was deleted says so."""
    version = datasets.create("pets", str(data), made="by hand").version
    run(learn(f"{{name: files, path: {data}}}"))
    record = studies.called(datasets.engine, "bowl")
    origin = origin_of(datasets.engine, record, 1)
    about: dict[str, Any] = {"study_id": record.study_id, "trial": 1, "provenance": origin}
    model = register(datasets.engine, tmp_path, **about)
    gone = datasets.delete("pets", force=True)
    day = time.strftime("%Y-%m-%d", time.localtime(gone.deleted))
    for name in ("pets", "pets@1"):
        said = hpo("data", "runs", name).out.splitlines()
        assert said[0].startswith(f"pets@1 was deleted on {day}")
        assert [line.split()[:2] for line in said[2:]] == [["bowl", "0"], ["bowl", "1"]]
        assert said[-1].split()[-1] == "digits@1"
        assert hpo("data", "lineage", name).out == "pets@1 (by hand) deleted\n"
    assert {each["deleted"] for each in hpo("data", "runs", "pets", "--json").json} == {
        gone.deleted
    }
    assert (
        hpo("data", "lineage", "pets", "--json").json["version"]["deleted"]
        == hpo("data", "used", "bowl", "--json").json[0]["deleted"]
        == gone.deleted
    )
    assert "pets@1 (deleted)  training  " + version.root[:12] in hpo("data", "used", "bowl").out
    lines = list(lineage(datasets.engine, model).lines())
    assert any(line.strip().startswith("data pets@1 (deleted): name files") for line in lines)
    (data / "c").write_text("3")
    datasets.create("pets", str(data))
    assert datasets.runs("pets") == [] and len(datasets.runs("pets@1")) == 2
    done = hpo("data", "show", "pets@1")
    assert done.code == 2 and f"on {day}; `hpo data lineage pets@1`" in done.err
    with pytest.raises(UsageError, match="pets@1 was deleted on "):
        datasets.link("pets@1", "bowl")


def test_lists_of_versions_fit_a_terminal(hpo: Hpo, datasets: Datasets, data: Path) -> None:
    """But for where the files lie, which is the last column and as long as it is."""
    version = datasets.create("pets", str(data)).version
    datasets.tag("pets", "reviewed")
    for words in (("list",), ("versions", "pets")):
        head, line = hpo("data", *words).out.splitlines()
        assert head.split() == "version tags files size created root location".split()
        assert line.split()[0] == "pets@1" and line.endswith(f"  {version.location}")
        assert version.root[:12] in line and version.root[:13] not in line
        assert head.index("location") < 64


PINNED = {"seed: 3": "seed: 3\ndata_version: pets@clean"}


def test_a_study_may_insist_on_a_version(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy
) -> None:
    """And goes on when its files are those again, with trials that all learned from them."""
    version = datasets.create("pets", str(data)).version
    datasets.tag("pets@1", "clean")
    spec = learn(f"{{name: files, path: {data}}}", **PINNED)
    run(spec)
    before = (data / "a").read_text()
    (data / "a").write_text("other")
    datasets.create("pets", str(data))
    with pytest.raises(UsageError, match="study 'bowl' is to learn from pets@1, and does not"):
        run(spec, more=1)
    assert run(spec)[-1].kind == "study_finished"  # nothing is left to run
    (data / "a").write_text(before)
    datasets.create("pets", str(data))
    run(spec, more=1)
    assert {row.attributes["dataset_root"] for row in rows(spec)} == {version.root}
    assert len(rows(spec)) == 3


def test_what_a_study_insists_on_must_be_there(
    datasets: Datasets, data: Path, learn: Learn, run: RunStudy, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no version of a dataset 'pets'"):
        run(learn(f"{{name: files, path: {data}}}", **PINNED))
    datasets.create("pets", str(data))
    with pytest.raises(UsageError, match="clean"):
        run(learn(f"{{name: files, path: {data}}}", **PINNED))
    datasets.tag("pets@1", "clean")
    for dataset in ("drawn", f"{{name: files, path: {tmp_path / 'elsewhere'}}}"):
        with pytest.raises(UsageError, match="its dataset reads no files, or others"):
            run(learn(dataset, **PINNED))
    (data / "a").write_text("other")
    with pytest.raises(UsageError, match="are not those of pets@1 any more"):
        run(learn(f"{{name: files, path: {data}}}", **PINNED))
    assert studies.all_studies(datasets.engine) == []
