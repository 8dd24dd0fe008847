"""Bad study files: each ends in a message with `file:line:col` and exit code 3 or 4, and never in a traceback.

Every bad file but a few is GOOD with one thing changed, so what is wrong and where stands in one line of a table.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from toys import GOOD, toy_catalog

from hpo_core.errors import StudyFileError
from hpo_core.spec import check, read
from hpo_core.testing.distributions import use_distributions, write_distribution

LR = "{float: [1e-3, 1.0], log: true}"

CHANGED: list[tuple[str, str, str, str]] = [
    # typos in keys, at each level
    ("seed: 7", "sede: 7", "4:1", "sede: a study file has no option 'sede' - did you mean 'seed'?"),
    ("name: val", "nam: val", "2:10", "metric.nam: unknown key - did you mean 'name'?"),
    ("{trials: 20}", "{trails: 20}", "3:10", "budget.trails: unknown key - did you mean 'trials'?"),
    ("  epochs: 9", "  epoch: 9", "7:3", "no option 'epoch' - did you mean 'epochs'?"),
    ("momentum: 0.9", "momentun: 0.9", "10:63", "'momentun' - did you mean 'momentum'?"),
    ("gamma: {", "gama: {", "11:50", "no option 'gama' - did you mean 'gamma'?"),
    ("startup: 5", "start_up: 5", "12:22", "no option 'start_up' - did you mean 'startup'?"),
    ("min_epochs: 1", "min-epochs: 1", "13:31", "'min-epochs' - did you mean 'min_epochs'?"),
    ("best_as", "bestas", "17:12", "register.bestas: unknown key - did you mean 'best_as'?"),
    ("log: true", "lgo: true", "10:51", "objective.optimizer.lr.lgo: float takes only log and step"),
    # unknown names
    ("name: toy", "name: tyo", "6:3", "there is no objective 'tyo' - did you mean 'toy'?"),
    ("model: small", "model: smal", "8:3", "there is no model 'smal' - did you mean 'small'?"),
    ("name: sgd", "name: sdg", "10:15", "there is no optimizer 'sdg' - did you mean 'sgd'?"),
    ("[constant,", "[cosine,", "11:27", "there is no LR scheduler 'cosine'"),
    ("name: tpe", "name: tpo", "12:11", "there is no sampler 'tpo' - did you mean 'tpe'?"),
    ("name: asha", "name: asho", "13:19", "no trial scheduler 'asho' - did you mean 'asha'?"),
    ("name: processes", "name: process", "14:12", "did you mean 'processes'?"),
    ("[csv]", "[csb]", "16:12", "there is no tracker 'csb' - did you mean 'csv'?"),
    # wrong types
    ("study: resnet_lr", "study: 7", "1:1", "study: input should be a valid string, got 7"),
    ("seed: 7", "seed: 7.5", "4:1", "seed: input should be a valid integer"),
    ("seed: 7", "seed: '7'", "4:1", "seed: input should be a valid integer, got '7'"),
    ("seed: 7", "seed: true", "4:1", "seed: input should be a valid integer, got True"),
    ("{name: val_accuracy, goal: maximize}", "loss", "2:1", "metric: input should be an object"),
    ("budget: {trials: 20}", "budget: 20", "3:1", "budget: input should be an object"),
    ("epochs: 9", "epochs: nine", "7:3", "valid integer, got 'nine'"),
    ("epochs: 9", "epochs:", "7:3", "valid integer, got None"),
    ("betas: [0.9, 0.99]", "betas: 0.9", "9:3", "valid array, got 0.9"),
    ("betas: [0.9, 0.99]", "betas: [0.9, x]", "9:16", "betas.1: input should be a valid number"),
    ("sampler: {name: tpe, startup: 5}", "sampler: 3", "12:1", "the sampler is a name or a mapping"),
    ("sampler: {name: tpe, startup: 5}", "sampler: [tpe]", "12:1", "the sampler is a name or"),
    ("sampler: {name: tpe, startup: 5}", "sampler: {startup: 5}", "12:1", "sampler needs a name"),
    ("name: tpe", "name: 3", "12:11", "the sampler needs a name"),
    ("[csv]", "csv", "16:1", "trackers is a list, got 'csv'"),
    ("storage: sqlite:///runs/hpo.db", "storage:", "15:1", "valid string, got None"),
    # out of bounds
    ("study: resnet_lr", "study: a/b", "1:1", "should match pattern"),
    ("study: resnet_lr", "study: ..", "1:1", "should match pattern"),
    ("study: resnet_lr", "study: ''", "1:1", "should match pattern"),
    ("trials: 20", "trials: 0", "3:10", "budget.trials: input should be greater than or equal to 1"),
    ("seed: 7", "seed: -1", "4:1", "greater than or equal to 0, got -1"),
    ("seed: 7", "seed: 4294967296", "4:1", "less than 4294967296"),
    ("seed: 7", f"seed: {'7' * 5000}", "4:7", "does not fit into 64 bits"),
    ("goal: maximize", "goal: maximise", "2:30", "'minimize' or 'maximize', got 'maximise' - did you mean 'maximize'?"),
    ("epochs: 9", "epochs: 0", "7:3", "greater than or equal to 1, got 0"),
    ("momentum: 0.9", "momentum: 1", "10:63", "less than 1, got 1"),
    ("reduction_factor: 3", "reduction_factor: 1", "13:46", "greater than or equal to 2, got 1"),
    ("workers: 2", "workers: 0", "14:29", "greater than or equal to 1, got 0"),
    ("resnet18-digits", "a b", "17:12", "register.best_as: string should match pattern"),
    # the budget, and what is kept
    ("{trials: 20}", "{}", "3:1", "budget: a budget needs at least one of trials, epochs and hours"),
    ("{trials: 20}", "{max_attempts: 2}", "3:1", "budget: a budget needs at least one of trials, epochs and hours"),
    ("{trials: 20}", "{trials: null}", "3:1", "budget: a budget needs at least one of"),
    ("{trials: 20}", "{epochs: many}", "3:10", "budget.epochs: input should be a valid integer, got 'many'"),
    ("{trials: 20}", "{trials: 20, epochs: 0}", "3:22", "budget.epochs: input should be greater than or equal to 1"),
    ("{trials: 20}", "{hours: 0}", "3:10", "budget.hours: input should be greater than 0, got 0"),
    ("{trials: 20}", "{hour: 1}", "3:10", "budget.hour: unknown key - did you mean 'hours'?"),
    ("{trials: 20}", "{trials: 20, max_attempts: 0}", "3:22", "max_attempts: input should be greater than or equal"),
    ("seed: 7", "seed: 7\nkeep: {paused: some}", "5:8", "paused: input should be a valid integer or 'all', got 'some'"),
    ("seed: 7", "seed: 7\nkeep: {paused: al}", "5:8", "integer or 'all', got 'al' - did you mean 'all'?"),
    ("seed: 7", "seed: 7\nkeep: {paused: -1}", "5:8", "greater than or equal to 0 or 'all', got -1"),
    ("seed: 7", "seed: 7\nkeep: {last: 0}", "5:8", "keep.last: input should be greater than or equal to 1, got 0"),
    ("seed: 7", "seed: 7\nkeep: {best: true}", "5:8", "keep.best: input should be a valid integer, got True"),
    ("seed: 7", "seed: 7\nkeep: {newest: 1}", "5:8", "keep.newest: unknown key"),
    ("seed: 7", "seed: 7\nkeep: all", "5:1", "keep: input should be an object, got 'all'"),
    # distributions
    (LR, "{float: [0, 1.0], log: true}", "10:39", "with log the low bound must be above 0, got 0"),
    (LR, "{float: [1.0, 1e-3]}", "10:39", "the low bound 1.0 is above the high bound 0.001"),
    (LR, "{float: [1e-3, 101]}", "10:45", "less than or equal to 100, got 101"),
    (LR, "{float: [0, 1]}", "10:39", "greater than 0, got 0"),
    (LR, "{float: 1}", "10:31", "float takes two bounds"),
    (LR, "{float: [1e-3]}", "10:31", "float takes two bounds"),
    (LR, "{float: [low, 1]}", "10:39", "a bound of float must be a number, got 'low'"),
    (LR, "{float: [1e-3, .inf]}", "10:45", "must be a number, got inf"),
    (LR, "{float: [1e-3, 1], log: 'yes'}", "10:49", "log must be true or false"),
    (LR, "{float: [1e-3, 1], log: true, step: 0.1}", "10:60", "log and step cannot be used together"),
    (LR, "{float: [1e-3, 1], int: [1, 2]}", "10:49", "cannot be both float and int"),
    (LR, "{flaot: [1e-3, 1]}", "10:26", "valid number, got {'flaot': [0.001, 1]} - did you mean 'float'?"),
    (LR, "{choice: [0.1, -1]}", "10:45", "greater than 0, got -1"),
    (LR, "{choice: []}", "10:31", "choice takes a list of at least one alternative"),
    ("epochs: 9", "epochs: {int: [1, 2.5]}", "7:21", "a whole number, got 2.5"),
    ("epochs: 9", "epochs: {int: [0, 3]}", "7:18", "greater than or equal to 1, got 0"),
    ("[constant, {", "[constant, constant, {", "11:37", "'constant' is listed twice"),
    ("[constant, {", "[{int: [1, 2]}, {", "11:27", "the LR scheduler cannot be a number"),
    ("startup: 5", "startup: {int: [1, 9]}", "12:22", "only options of the objective can be searched"),
    ("{name: tpe, startup: 5}", "{choice: [tpe, random]}", "12:1", "only options of the objective"),
    ("seed: 7", "seed: {int: [0, 9]}", "4:1", "only options of the objective can be searched"),
    # a list of components without the option's name
    ("name: asha, min_", "every: [none], min_", "13:1", "the trial scheduler needs a name"),
    ("{name: asha, ", "{every: [{name: asha, min_epochs: 0}]} # {", "13:40", "every.0.min_epochs: input should be"),
    ("{name: asha, ", "{every: [nane]} # {", "13:27", "every.0: there is no trial scheduler 'nane'"),
    # options of another component, or missing
    ("lr: {float", "gamma: 1, lr: {float", "10:26", "the optimizer 'sgd' has no option 'gamma'"),
    ("[constant, {", "[{name: constant, gamma: 1}, {", "11:44", "'gamma' (it has none at all)"),
    ("name: toy", "name: needy", "5:1", "the objective 'needy' needs 'call'"),
    (", goal: maximize", "", "2:1", "metric.goal: field required"),
    ("study: resnet_lr\n", "", "1:1", "a study file needs 'study'"),
    ("register: {best_as: resnet18-digits}", "register: {}", "17:1", "best_as: field required"),
    # YAML
    ("seed: 7", "seed: 7\nseed: 8", "5:1", "seed: the key is given twice, first at 4:1"),
    ("momentum: 0.9", "lr: 0.9", "10:63", "optimizer.lr: the key is given twice, first at 10:26"),
    ("  epochs: 9", "\tepochs: 9", "7:1", "a tab in the indentation"),
    ("  epochs: 9", "   epochs: 9", "7:10", "not YAML: mapping values are not allowed here"),
    ("[0.9, 0.99]", "[0.9, 0.99", "10:12", "not YAML: while parsing a flow sequence"),
    ("seed: 7", "seed: !!python/name:os.system", "4:7", "take !!python/name:os.system away"),
    ("seed: 7", "7: seed", "4:1", "a key must be text, got 7"),
    ("seed: 7", "seed: *seven", "4:7", "there is no anchor '&seven'"),
    ("seed: 7", "seed: 7\x00", "4:8", "control character U+0000"),
    ("seed: 7", "seed: 7\n---", "5:1", "a second document starts here"),
    ("[0.9, 0.99]", "[" * 60, "9:59", "nested more than 50 levels deep"),
    ("storage: sqlite:///runs", "storage: ${env:NO_SUCH_ENV}", "15:1", "NO_SUCH_ENV is not set"),
]  # fmt: skip

BOMB = "x-a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"x-{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in ("ab", "bc", "cd", "de", "ef", "fg", "gh", "hi")
)

WHOLE: list[tuple[str, str, str]] = [
    ("", "1:1", "the file is empty"),
    ("# nothing\n", "1:1", "the file is empty"),
    ("- study: a\n", "1:1", "a study file is a mapping"),
    ("hello", "1:1", "a study file is a mapping"),
    ("study: a\n", "1:1", "a study file needs 'objective'"),
    (BOMB + GOOD, "4:38", "more than 10000 values"),
    ("objective: &a {name: toy, model: *a}", "1:34", "stands inside itself"),
]

PLUGIN: list[tuple[str, str, str, str]] = [
    ("model: small", "model: broken", "8:3", "cannot import no_such_module_at_all:make"),
    ("model: small", "model: twin", "8:3", "'hpo-left:twin' and 'hpo-right:twin'"),
    ("model: small", "model: {name: twin}", "8:11", "'hpo-left:twin' and 'hpo-right:twin'"),
    ("name: toy", "name: undeclared", "5:1", "option 'gamma' of"),
]


def _changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} stands {GOOD.count(old)} times in GOOD"
    return GOOD.replace(old, new)


def _refused(path: Path, text: str, **broken: str) -> StudyFileError:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyFileError) as caught:
        check(read(path, []), toy_catalog(broken), path)
    for line in str(caught.value).splitlines():
        assert re.match(rf"    |{re.escape(str(path))}:\d+:\d+: ", line)
    return caught.value


def test_there_are_forty_bad_files_and_the_good_one_is_good(tmp_path: Path) -> None:
    assert len(CHANGED) + len(WHOLE) + len(PLUGIN) >= 40
    path = tmp_path / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    spec = check(read(path, []), toy_catalog(), path)
    assert (spec.study, spec.goal, spec.budget.trials, spec.best_as) == (
        "resnet_lr", "maximize", 20, "resnet18-digits",
    )  # fmt: skip
    parameters = {"optimizer.lr", "lr_scheduler", "lr_scheduler.step.gamma"}
    assert set(spec.space.parameters()) == parameters


@pytest.mark.parametrize(("old", "new", "place", "fragment"), CHANGED)
def test_a_changed_file_is_blamed_where_it_was_changed(
    old: str, new: str, place: str, fragment: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    error = _refused(path, _changed(old, new))
    assert error.exit_code == 3
    assert any(
        line.startswith(f"{path}:{place}: ") and fragment in line
        for line in str(error).splitlines()
    ), str(error)


@pytest.mark.parametrize(("text", "place", "fragment"), WHOLE)
def test_a_file_that_is_no_study_is_refused(
    text: str, place: str, fragment: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    error = _refused(path, text)
    assert error.exit_code == 3
    assert f"{path}:{place}: " in str(error)
    assert fragment in str(error)


@pytest.mark.parametrize(("old", "new", "place", "fragment"), PLUGIN)
def test_a_file_that_needs_a_broken_plugin_exits_with_its_code(
    old: str, new: str, place: str, fragment: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    error = _refused(path, _changed(old, new))
    assert error.exit_code == 4
    assert str(error).startswith(f"{path}:{place}: ")
    assert fragment in str(error)


def test_a_name_that_a_plugin_which_did_not_load_may_offer_exits_with_its_code(
    tmp_path: Path,
) -> None:
    error = _refused(tmp_path / "s.yaml", _changed("model: small", "model: vit"), shaky="no jax")
    assert error.exit_code == 4
    assert "a plugin that did not load may offer it: shaky: no jax" in str(error)


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("seed: 7", "sede: 7").replace("tpe", "tpo").replace("epochs: 9", "epochs: 0")
    )
    assert [problem.line for problem in _refused(tmp_path / "s.yaml", text).problems] == [4, 7, 12]


@pytest.mark.parametrize("keep", ["{paused: some}", "{paused: -1}", "{paused: [all]}"])
def test_what_fits_no_alternative_is_one_problem(keep: str, tmp_path: Path) -> None:
    error = _refused(tmp_path / "s.yaml", _changed("seed: 7", f"seed: 7\nkeep: {keep}"))
    assert [problem.path for problem in error.problems] == ["keep.paused"]


def test_an_override_is_blamed_for_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(StudyFileError) as caught:
        overrides = ["objective.optimizer={name: sgd, lr: -1}", "sampler.startup=2"]
        check(read(path, overrides), toy_catalog(), path)
    assert str(caught.value).splitlines() == [
        "override:1:33: objective.optimizer.lr: input should be greater than 0, got -1",
        "    objective.optimizer={name: sgd, lr: -1}",
        "                                    ^",
    ]


HPO = Path(sys.executable).with_name("hpo")
STUDY = (Path(__file__).parents[1] / "studies" / "resnet_lr.yaml").read_text(encoding="utf-8")

OFFER = """
from hpo_core import hookimpl

@hookimpl
def register_samplers(register):
    register("dice", lambda context: None)
"""


def _validate(path: Path, text: str) -> tuple[int, str]:
    """The exit code of `hpo validate`, and what it wrote to stderr."""
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([HPO, "validate", path], capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "fragment"),
    [
        ("seed: 7", "sede: 7", "did you mean 'seed'?"),
        ("seed: 7", "seed: 7\nseed: 7", "given twice"),
        ("name: tpe", "name: tpee", "did you mean 'tpe'?"),
        (
            "workers: 2",
            "workers: 0",
            "workers: input should be greater than or equal to 1 or 'auto'",
        ),
        ("name: resnet18", "name: resnet81", "did you mean 'resnet18'?"),
    ],
)
def test_the_command_prints_what_is_wrong(
    old: str, new: str, fragment: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    text = STUDY.replace(old, new)
    before = text[: text.rindex(new.splitlines()[-1])].split("\n")
    code, printed = _validate(path, text)
    assert code == 3
    assert f"{path}:{len(before)}:{len(before[-1]) + 1}: " in printed
    assert fragment in printed


def test_the_command_says_that_a_plugin_fails_to_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_distribution(tmp_path, "hpo-shaky", "import no_such_module_at_all")
    use_distributions(monkeypatch, tmp_path)
    code, printed = _validate(tmp_path / "s.yaml", STUDY.replace("name: tpe", "name: dice"))
    assert code == 4
    assert "hpo-shaky: ModuleNotFoundError: No module named 'no_such_module_at_all'" in printed
    assert _validate(tmp_path / "s.yaml", STUDY)[0] == 0  # who does not need it does not mind


def test_the_command_names_both_plugins_that_offer_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_distribution(tmp_path, "hpo-dice-a", OFFER)
    write_distribution(tmp_path, "hpo-dice-b", OFFER)
    use_distributions(monkeypatch, tmp_path)
    code, printed = _validate(tmp_path / "s.yaml", STUDY.replace("name: tpe", "name: dice"))
    assert code == 4
    assert "'hpo-dice-a:dice' and 'hpo-dice-b:dice'" in printed
    text = STUDY.replace("name: tpe", "name: 'hpo-dice-b:dice'")
    assert _validate(tmp_path / "s.yaml", text)[0] == 0


def test_the_command_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"
    done = subprocess.run([HPO, "validate", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr.startswith(f"{path}:1:1: there is no such file")
    assert "Traceback" not in done.stderr
