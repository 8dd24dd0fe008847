"""`hpo report`: what the page says, what it must not hold, and how it is written."""

from __future__ import annotations

import math
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import registered
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from results_studies import Told, store
from sqlalchemy import Engine

from hpo_core import ClassReport, Event, Report, Run
from hpo_core.cli import main
from hpo_core.errors import UsageError
from hpo_core.registry.registry import Registry
from hpo_core.report import attempts, page, study_figures, thinning, trial_figures, wording
from hpo_core.report.facts import gather
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies
from hpo_core.storage.ledger import Ledger
from hpo_core.storage.studies import StudyRecord

EVIL = "<script>alert(1)</script>"
IMG = "\"'><img src=x onerror=alert(2)>"
CANARY = "canary-7d31f0"


class Page(HTMLParser):
    """The elements of a page, its text, and everything that an element points to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.targets: list[str] = []
        self.ids: Counter[str] = Counter()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            self.names[name] += 1
            if name in ("href", "xlink:href", "src", "action", "srcset", "data"):
                self.targets.append(value or "")
            if name == "id":
                self.ids[value or ""] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(engine: Engine) -> None:
    """A study whose names are all markup, with failures, NaN, classes, conditional parameters, learning rates."""
    words = CategoricalDistribution([IMG, "b$_x$", "c\x1b[31m"])
    rates = FloatDistribution(1e-4, 1.0, log=True)
    objective = {
        "name": "toy",
        "epochs": 4,
        EVIL: {"choice": list(words.choices)},
        "lr": {"float": [1e-4, 1.0], "log": True},
    }
    identity = {"metric": {"name": f"loss{EVIL}", "goal": "minimize"}, "objective": objective}
    record = studies.create(engine, EVIL, "minimize", identity, 40, "nowhere")
    ledger = Ledger(engine, record.study_id, EVIL, "minimize", record.metric)
    ledger.record("study_started", sampler="tpe", trial_scheduler=EVIL, executor=IMG)
    classes = ClassReport(
        (EVIL, IMG, "日本\x00", "$x_1$"), (0.5,) * 4, (0.5,) * 4, (0.5,) * 4, CONFUSION
    )
    for number in range(14):
        params = {EVIL: words.choices[number % 3], "lr": 10 ** (-number / 4)}
        trial_id = ledger.add_trial(params, {EVIL: words, "lr": rates})
        ledger.record("trial_started", number, attempt=1, origin="new", params={}, epochs=4)
        steps = 1 if number % 4 == 0 else 4
        for step in range(1, steps + 1):
            loss = math.nan if number == 6 and step == 3 else 0.1 + number / step
            metrics = {record.metric: loss, "lr": params["lr"] / step}
            ledger.record_metrics(number, 1, Report(step, metrics, classes=classes))
        failed = number in (6, 7)
        reason = f"{EVIL} {IMG} in {number // 7}" if failed else ""
        for key, value in {"attempt": 1, "steps": steps, "reason": reason}.items():
            ledger.mirror.set_trial_user_attr(trial_id, key, value)
        state = TrialState.PRUNED if steps == 1 else TrialState.COMPLETE
        state = TrialState.FAIL if failed else state
        ledger.mirror.set_trial_state_values(
            trial_id, state, None if failed else [0.1 + number / steps]
        )
        ending = {TrialState.FAIL: "failed", TrialState.PRUNED: "stopped"}.get(state, "completed")
        ledger.record("trial_finished", number, attempt=1, ending=ending, reason=reason, state="")
    ledger.record("warning", 3, reason=f"{IMG} is damaged")
    ledger.commit()


CONFUSION = ((0, 0, 5), (0, 1, 5), (1, 1, 7), (2, 2, 9), (2, 3, 1), (3, 3, 5))


@pytest.fixture(scope="module")
def evil(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Iterator[tuple[page.Report, Page]]:
    folder = tmp_path_factory.mktemp("evil")
    shutil.copy(empty_database, folder / "hpo.db")
    engine = database.open_or_create(f"sqlite:///{folder}/hpo.db")
    hostile(engine)
    made = page.make(engine, EVIL)
    engine.dispose()
    yield made, Page(made.html)


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    shutil.copy(empty_database, tmp_path / "hpo.db")
    engine = database.open_or_create(f"sqlite:///{tmp_path}/hpo.db")
    yield engine
    engine.dispose()


@pytest.fixture
def hpo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """`hpo report` in the folder of the test; what it printed, or the error where it has an exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, code: int = 0) -> str:
        argv = ["hpo", "report", *words, "--storage", "sqlite:///hpo.db"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as caught:
            main.main()
        said = capsys.readouterr()
        assert (caught.value.code or 0) == code, said.err
        return said.err if code else said.out

    return call


# ---- the page ----


def test_nothing_that_is_named_like_markup_becomes_markup(evil: tuple[page.Report, Page]) -> None:
    made, read = evil
    assert not read.tags["script"] and not read.tags["img"] and not read.tags["iframe"]
    assert not [name for name in read.names if name.startswith("on")]
    for text in (EVIL, IMG, "b$_x$", "日本", "$x_1$", "is damaged"):
        assert text in read.text
    assert "alert(1)</script>" not in made.html


def test_the_page_needs_nothing_beside_it(evil: tuple[page.Report, Page]) -> None:
    made, read = evil
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in read.targets)
    assert not read.tags["link"] and "@import" not in made.html and "url(http" not in made.html
    addresses = set(re.findall(r"https?://[^\s\"'<]+", made.html))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'" in made.html


def test_ids_are_one_elements_own(evil: tuple[page.Report, Page]) -> None:
    made, read = evil
    assert [name for name, times in read.ids.items() if times > 1] == []
    referred = {target[1:] for target in read.targets if target.startswith("#")}
    referred |= set(re.findall(r"url\(#([^)]+)\)", made.html))
    assert referred <= set(read.ids)


def test_every_section_has_what_it_is_for(evil: tuple[page.Report, Page]) -> None:
    made, read = evil
    names = "history best cost importance parallel curves learning_rates classes survival timeline failures study"
    assert [name for name in names.split() if name not in read.ids] == []
    assert "lineage" not in read.ids and "environment" not in read.ids  # there is nothing to say
    assert read.tags["svg"] == 8 and made.pngs == {}  # they were not asked for


def test_marks_say_which_trial_they_are(evil: tuple[page.Report, Page]) -> None:
    made, _ = evil
    history, timeline = made.html.count("<title>trial 13: "), made.html.count("<title>trial 13, ")
    assert history == 4  # in the history, among the coordinates, and in both figures by epoch
    assert timeline == 1
    assert "<title>trial 7, attempt 1: 0 s, failed: &lt;script&gt;" in made.html


def test_a_line_goes_on_past_parameters_that_a_trial_lacks(engine: Engine) -> None:
    store(engine, "gaps", [Told("step" if n % 2 else "cosine", n % 8, [n / 20]) for n in range(12)])
    facts = gather(engine, "gaps")
    assert trial_figures.gaps(facts) == ""  # every trial has every parameter
    for trial in facts.trials[::3]:
        del trial.params["lr_scheduler"]  # type: ignore[attr-defined]
    assert trial_figures.gaps(facts).startswith("Dotted: ")
    drawn = trial_figures.parallel(facts, facts.ranked)
    assert drawn is not None
    dotted = [line for line in drawn.figure.axes[0].lines if line.get_linestyle() == ":"]
    assert len(dotted) == 4
    last = len(drawn.figure.axes[0].get_xticks()) - 1
    assert all(list(line.get_xdata())[-1] == last for line in dotted)


def test_the_numbers_of_the_page(evil: tuple[page.Report, Page]) -> None:
    made, read = evil
    assert made.facts.best is not None and made.facts.best.number == 0
    assert "14 of 40" in read.text
    assert made.facts.cost.epochs == 4 * 1 + 10 * 4
    assert (made.facts.cost.saved, made.facts.cost.full) == (
        12,
        48,
    )  # of 12 trials that did not fail
    assert "25.0 % of 48 without stopping" in read.text
    reached = study_figures.reached(made.facts)
    assert [alive for _, alive, _ in reached] == [14, 10, 10, 10]
    assert reached[0][2] == {"pruned": 4} and reached[3][2] == {"complete": 8, "fail": 2}


def test_registered_models_are_told_with_their_test_and_gates(
    engine: Engine, tmp_path: Path, hpo: Callable[..., str]
) -> None:
    store(engine, "shoot", [Told("cosine", n, [n / 10]) for n in range(4)])
    store(engine, "other", [Told("cosine", 0, [0.5])])
    registry = Registry(engine, "sqlite:///hpo.db")
    found = {name: studies.called(engine, name).study_id for name in ("shoot", "other")}
    for trial, told in enumerate((None, (0.85, False, 0.8, 0.89), (0.95, True, 0.92, 0.97))):
        evaluation = None if told is None else registered.evaluation(*told)
        registered.register(
            engine,
            tmp_path,
            trial=trial,
            study="shoot",
            study_id=found["shoot"],
            evaluation=evaluation,
        )
    owed = {"success_criteria": {"accuracy": 0.9}}
    broken = {"part": "test", "n": 0, "metrics": {}, "gates": [], "reason": f"no {EVIL}"}
    registered.register(
        engine,
        tmp_path,
        trial=3,
        study="shoot",
        study_id=found["shoot"],
        evaluation=broken,
        provenance=owed,
    )
    registered.register(engine, tmp_path, "else", study="other", study_id=found["other"])
    registry.promote("digits@3", "production")
    hpo("shoot", "--output", "report.html")
    html = Path("report.html").read_text()
    rows = re.findall(
        r"<tr>(.*?)</tr>", html.split('<section id="models">')[1].split("</section>")[0]
    )
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    versions = [row for row in cells if len(row) == 9]
    assert [row[0] for row in versions] == ["digits@4", "digits@3", "digits@2", "digits@1"]
    assert versions[1][1:] == [
        *("production", "2", "360", "0.9500", "0.9200 to 0.9700", wording.DASH, "4.00"),
        "passed all 1",
    ]
    assert versions[2][4:6] == ["0.8500", "0.8000 to 0.8900"]
    assert versions[2][8] == "failed: accuracy" and versions[3][8] == "not measured"
    assert versions[0][3] == wording.DASH
    assert versions[0][8] == "not measured: no &lt;script&gt;alert(1)&lt;/script&gt;"
    gates = [row for row in cells if len(row) == 4]
    assert ["digits@2", "accuracy", "failed"] in [row[:3] for row in gates]
    assert ["digits@4", "accuracy", "failed", "it was not measured"] in gates
    assert "else@1" not in html and "digits@4" in Page(html).text.split("History")[0]  # of trial 3


# ---- what happened when ----


def record() -> StudyRecord:
    identity = {"metric": {"name": "loss", "goal": "minimize"}, "objective": {"name": "toy"}}
    return StudyRecord(1, "x", identity, None, 0, "runs", 0)


def test_time_in_which_nobody_ran_the_study_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    drivers = [attempts.Driver(100, 110, 0), attempts.Driver(1000, 1020, 10)]
    begun = {"attempt": 1, "origin": "new", "params": {}}
    told = [
        Event(0, "study_started", 100.0, None, {}),
        Event(1, "trial_started", 101.0, 0, begun),
        Event(2, "trial_started", 102.0, 1, begun),
        Event(3, "trial_paused", 104.0, 1, {"attempt": 1, "reason": "rung 1"}),
        Event(5, "study_started", 1000.0, None, {"sampler": "tpe"}),  # the driver was killed at 110
        Event(6, "trial_lost", 1001.0, 0, {"attempt": 1, "reason": "died"}),
        Event(7, "trial_started", 1002.0, 0, begun | {"attempt": 2, "origin": "retried"}),
        Event(
            8, "trial_finished", 1003.0, 1, {"attempt": 1, "reason": "over", "ending": "stopped"}
        ),
    ]
    monkeypatch.setattr(attempts, "_drivers", lambda *_: drivers)
    monkeypatch.setattr(attempts.reading, "events", lambda *_, **__: told)
    course = attempts.read(None, record())  # type: ignore[arg-type]  # nothing is read from it
    assert course.seconds == 30
    found = [(a.trial, a.number, a.began, a.ended, a.ending) for a in course.attempts]
    assert found == [
        (0, 1, 1, 10, "lost"),  # as far as its driver lived
        (1, 1, 2, 4, "paused"),  # and closed while it waited, which is no attempt
        (0, 2, 12, 30, "running"),
    ]


def test_a_population_has_a_lineage(
    run: Callable[..., list[Event]], saving_spec: Callable[..., StudySpec], tmp_path: Path
) -> None:
    spec = saving_spec("{name: exploiting}", "{trials: 4}")
    run(spec)
    engine = database.open_existing(spec.storage)
    made = page.make(engine, "bowl", pngs=True)
    engine.dispose()
    clones = made.facts.course.clones()
    assert [(clone.trial, clone.why) for clone in clones] == [(2, "exploits"), (3, "exploits")]
    read = Page(made.html)
    assert {"lineage", "environment", "study"} <= set(read.ids)
    assert sorted(made.pngs) == ["curves", "history", "lineage", "parallel", "survival", "timeline"]
    assert all(content.startswith(b"\x89PNG") for content in made.pngs.values())
    assert f"versions.python{sys.version.split()[0]}" in read.text
    own = {trial.number: len(trial.steps()) for trial in made.facts.trials}
    assert made.facts.cost.epochs == sum(own.values()) and made.facts.cost.repeated == 0
    assert made.facts.cost.full == made.facts.cost.epochs + made.facts.cost.saved


def test_a_secret_is_not_in_the_page(
    run: Callable[..., list[Event]],
    make_spec: Callable[..., StudySpec],
    offer: Callable[[str, str, Any], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    hpo: Callable[..., str],
) -> None:
    monkeypatch.setenv("HPO_TEST_SECRET", CANARY)

    def telling(run: Run, *, x: float, token: str) -> None:
        assert token == CANARY
        if run.trial.number:
            raise RuntimeError(f"cannot log in with {token}")
        run.report(1, {"loss": x})

    offer("objectives", "telling", telling)
    own = "{name: telling, token: '${env:HPO_TEST_SECRET}', x: {float: [0, 1]}}"
    run(make_spec(trials=3, **{"{name: bowl, x: {float: [-10, 10]}, y: {float: [-3, 3]}}": own}))
    place = hpo("bowl").strip()
    assert Path(place) == tmp_path / "runs" / "bowl" / "report.html"
    text = Path(place).read_text()
    assert CANARY not in text
    assert "cannot log in with ${env:HPO_TEST_SECRET}" in text
    assert not [found for found in tmp_path.rglob("*.html") if CANARY in found.read_text()]


# ---- bounds ----


def test_of_many_trials_the_best_and_every_so_many_of_the_others_are_drawn(engine: Engine) -> None:
    told = [Told("cosine", n % 8, [n / 1000]) for n in range(300)]
    store(engine, "many", told)
    facts = gather(engine, "many")
    shown = thinning.chosen(facts.ranked)
    numbers = [trial.number for trial in shown]
    assert numbers[:100] == list(range(299, 199, -1)) and numbers[100:103] == [199, 197, 195]
    assert len(set(numbers)) == 200
    assert thinning.said(200, 300)[0].startswith("200 of 300 trials are drawn")
    assert thinning.chosen(facts.ranked[:200]) == facts.ranked[:200] and thinning.said(5, 5) == []


def test_importance_that_cannot_be_told_says_why(engine: Engine, hpo: Callable[..., str]) -> None:
    store(engine, "few", [Told("cosine", n, [n / 10]) for n in range(3)])
    hpo("few", "--output", "report.html")
    read = Page(Path("report.html").read_text())
    assert "importance" in read.ids and "are too few to say what matters: it takes 10" in read.text


def test_a_study_without_success_reports_its_failures(
    engine: Engine, hpo: Callable[..., str]
) -> None:
    store(engine, "failed", [Told("cosine", n, [0.5], state=TrialState.FAIL) for n in range(3)])
    hpo("failed", "--output", "report.html")
    read = Page(Path("report.html").read_text())
    assert "no trial succeeded" in read.text
    assert "failures" in read.ids and "best" not in read.ids and "classes" not in read.ids


# ---- how it is written ----


@pytest.mark.parametrize(
    "words, said",
    [
        (["shot"], "there is no study 'shot' in sqlite:///hpo.db - did you mean 'shoot'?"),
        (["begun"], "study 'begun' has no finished trial yet (1 begun)"),
        (["empty"], "study 'empty' has no finished trial yet (0 begun)"),
    ],
)
def test_what_cannot_be_reported(
    engine: Engine, hpo: Callable[..., str], words: list[str], said: str
) -> None:
    store(engine, "shoot", [Told("cosine", 0, [0.5])])
    store(engine, "begun", [Told("cosine", 0, [0.5], state=TrialState.RUNNING)])
    store(engine, "empty", [])
    assert said in hpo(*words, code=2)


def small(html: str = "new") -> page.Report:
    return page.Report(None, html, {"history": b"png"})  # type: ignore[arg-type]  # not written


def test_a_report_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "report.html"
    page.write(small("old"), place, tmp_path / "figures" / "png")
    assert (tmp_path / "figures" / "png" / "history.png").read_bytes() == b"png"
    monkeypatch.setenv("HPO_FAULT", "files.write:1:full")
    monkeypatch.setattr("hpo_core.faults._hits", Counter())
    with pytest.raises(Exception, match=r"cannot write .*report.html: No space left"):
        page.write(small(), place, None)
    assert place.read_text() == "old" and len(list(tmp_path.iterdir())) == 2
    monkeypatch.delenv("HPO_FAULT")
    page.write(small(), place, None)
    assert place.read_text() == "new"


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--output names another place"):
        page.write(small(), tmp_path / "no" / "report.html", None)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot make the folder"):
        page.write(small(), tmp_path / "report.html", tmp_path / "file")
    assert not (tmp_path / "report.html").exists()


def test_without_the_libraries(
    engine: Engine, hpo: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(engine, "shoot", [Told("cosine", 0, [0.5])])
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "hpo-core[report]" in hpo("shoot", code=4)


@pytest.mark.parametrize(
    "value, said",
    [
        (0.5, "0.5000"),
        (None, wording.DASH),
        (math.nan, "nan"),
        (12345.6, "12346"),
        (1e-7, "1.00e-07"),
    ],
)
def test_numbers_in_words(value: float | None, said: str) -> None:
    assert wording.number(value) == said
