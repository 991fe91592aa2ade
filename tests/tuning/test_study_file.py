import os
from pathlib import Path
from typing import Any

import pytest

from components.errors import InvalidInputError
from components.mask_policy import MaskPolicy
from search_spaces import Space
from tuning import StudyConfig
from tuning.building import build_loss
from tuning.errors import StudyConfigError
from tuning.study_file import StudyFile, read_study_file

MINIMAL = {"name": "toy", "data": {"build": "a.b:c"}}
HEAD = "name: toy\ndata: {build: 'a.b:c'}\n"


def read(folder: Path, text: str, *overrides: str) -> StudyFile:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return read_study_file(path, list(overrides))


def refusal(folder: Path, text: str, *overrides: str) -> list[str]:
    """The lines of the error, less the folder."""
    with pytest.raises(StudyConfigError) as caught:
        read(folder, text, *overrides).load()
    return str(caught.value).replace(f"{folder}{os.sep}", "").splitlines()


def test_values_are_read_as_people_write_them(tmp_path: Path) -> None:
    found = read(tmp_path, "a: 1e-3\nb: 1E5\nc: 1.5e+2\nd: 3\ne: 1e\nf: .5\ng: 2026-01-02\nh: -1e3\ni: =\n").settings
    assert list(found.values()) == [0.001, 100000.0, 150.0, 3, "1e", 0.5, "2026-01-02", -1000.0, "="]


def test_overrides_are_laid_over_the_file(tmp_path: Path) -> None:
    overrides = ("training.lr=1e-3", "search.space.presets=[optimizer]", "name=x=y")
    assert read(tmp_path, "training: {lr: 1, batch: 4}\n", *overrides).settings == {
        "training": {"lr": 0.001, "batch": 4},
        "search": {"space": {"presets": ["optimizer"]}},
        "name": "x=y",
    }


def test_an_override_changes_one_place_where_an_alias_repeats_it(tmp_path: Path) -> None:
    text = "loss:\n  terms:\n    focal: &options {gamma: 2}\n    own: *options\n"
    found = read(tmp_path, text, "loss.terms.own.gamma=3").settings
    assert found["loss"]["terms"] == {"focal": {"gamma": 2}, "own": {"gamma": 3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "study.yaml:2:1 cannot be read as YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a:\n\t b: 1\n", r"study.yaml:2:1 cannot be read as YAML: .* found character '\\t'.* Hint: mind the indent"),
        ("a: b: c\n", "study.yaml:1:5 cannot be read as YAML: mapping values are not allowed here. Hint"),
        ("a: 1\nb: \x00\n", "study.yaml:2:4 cannot be read as YAML: unacceptable character #x0000"),
        ("- a\n", "study.yaml: found list, expected a mapping"),
        ("", "study.yaml: found NoneType, expected a mapping"),
        ("a: 1\n---\nb: 2\n", "study.yaml:2:1 cannot be read as YAML: expected a single document"),
        ("? [1]\n: 2\n", "study.yaml:1:3 cannot be read as YAML: while constructing a mapping, found unhashable key"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            r"study.yaml:1:4 .* found the tag !!python/object/apply:os.system",
        ),
        ("a: !!set {b}\n", "found the tag !!set; expected text, a number, a list or a mapping"),
        ("a: !!int x\n", "study.yaml:1:4 cannot be read as YAML: found 'x', which is no !!int"),
        ("a: 0x" + "f" * 4000, "found an integer that is too large"),
        ("a: " + "9" * 5000, "which is no !!int"),
        ('a: "\\ud800"', "text that holds NUL or half of a surrogate pair"),
        ("a: " + "[" * 60 + "]" * 60, "is nested 61 levels deep. Hint: 50 are allowed"),
        # Which of the two hangs on the interpreter's recursion limit, which a library may raise.
        ("a: " + "[" * 900 + "]" * 900, r"is nested (too deeply|901 levels deep)\. Hint: 50"),
        ("a: &a [*a]\n", "study.yaml:1:4 cannot be read as YAML: found a value that holds itself"),
        ("a: &a {b: {c: *a}}\n", "found a value that holds itself"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StudyConfigError, match=message):
        read(tmp_path, text)


def test_aliases_of_aliases_do_not_take_all_memory(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(StudyConfigError, match=r"values\. Hint: 100000 are allowed, aliases counted"):
        read(tmp_path, "\n".join(["l0: &l0 1", *levels]))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyConfigError, match=r"no such study file\. Hint"):
        read_study_file(tmp_path / "none.yaml")
    with pytest.raises(StudyConfigError, match="cannot be read: Is a directory"):
        read_study_file(tmp_path)
    (tmp_path / "study.yaml").write_bytes(b"name: \xff")
    with pytest.raises(StudyConfigError, match=r"cannot be read: 'utf-8' codec .* Hint: save it as UTF-8"):
        read_study_file(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.lr", "-s training.lr: expected key=value"),
        ("name.b=1", "-s name.b: name is no mapping, nothing can be set in it. Found: 'toy'"),
        ("training.lr=[1", r"-s training.lr:1:3 cannot be read as YAML"),
    ],
)
def test_a_bad_override_is_refused(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, HEAD, override)[0].startswith(message)


def test_all_problems_come_at_once_each_with_its_place(tmp_path: Path) -> None:
    text = """\
name: a b
training:
  epoch: 3
  lr: -1
  crop: [64, 0]
loss:
  weights: {dice: 1, bce: x}
  terms:
    dice: 3
checkpoint: {strategy: bets}
scheduler:
"""
    assert refusal(tmp_path, text) == [
        (
            "study.yaml:1:1 name: must match the pattern ^[A-Za-z0-9][A-Za-z0-9_.-]*$. Found: 'a b'. "
            "Hint: letters, digits, _ . and -, such as brain-1."
        ),
        (
            "study.yaml: data: is missing. "
            "Hint: Where images and masks come from: a folder (`root`), or a function of your own (`build`)."
        ),
        "study.yaml:4:3 training.lr: must be above 0. Found: -1.",
        "study.yaml:5:14 training.crop.1: must be at least 1. Found: 0.",
        "study.yaml:3:3 training.epoch: unknown setting. Hint: did you mean epochs?",
        "study.yaml:9:5 loss.terms.dice: must be a mapping. Found: 3.",
        "study.yaml:7:22 loss.weights.bce: must be a number. Found: 'x'.",
        (
            "study.yaml:10:14 checkpoint.strategy: must be 'best', 'epoch', 'interval', 'all' or 'adaptive'. "
            "Found: 'bets'. Hint: did you mean best?"
        ),
        "study.yaml:11:1 scheduler: must be a mapping. Found: None. Hint: write key: value below it, or leave it out.",
    ]


def test_keys_that_stand_twice_come_with_the_other_problems(tmp_path: Path) -> None:
    text = HEAD + "training: {lr: 1, lr: 2, epochs: 0}\nname: toy2\n"
    assert refusal(tmp_path, text) == [
        "study.yaml:3:19 the key 'lr' stands twice (first in line 3). Hint: keep one.",
        "study.yaml:4:1 the key 'name' stands twice (first in line 1). Hint: keep one.",
        "study.yaml:3:26 training.epochs: must be at least 1. Found: 0.",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("training: {crop: big}", "training.crop: must be an integer or a list. Found: 'big'."),
        ("training: {crop: 0}", "training.crop: must be at least 1 or a list. Found: 0."),
        ("training: {window: [16, 0]}", "training.window.1: must be at least 1. Found: 0."),
        (
            "training: {window: bog}",
            "training.window: must be 'auto' or 'whole' or an integer or a list. Found: 'bog'.",
        ),
        (
            "training: {window: [32, 20]}\ndata: {root: x}",
            "training.window: [32, 20] is no multiple of model.divisor, which is 16. Hint: change one of them.",
        ),
        (
            "training: {foreground: 0.3}\ndata: {root: x}",
            "training.foreground: is of crops, and training.crop is not set. Hint: set it.",
        ),
        ("training: {crop: 1.5}", "training.crop: must be an integer or a list. Found: 1.5."),
        ("training: {seed: per_tral}", "training.seed: must be an integer or 'per_trial'. Found: 'per_tral'. "),
        ("training: {seed: -1}", "training.seed: must be at least 0 or 'per_trial'. Found: -1."),
        ("data: {root: x, classes: vein}", "data.classes: must be a list or a mapping. Found: 'vein'."),
        ("data: {root: x, classes: [no]}", "data.classes.0: must be text. Found: False. Hint: write it in quotes."),
        ("data: {root: x, classes: {a: b}}", "data.classes.a: must be an integer. Found: 'b'."),
        ("data: {root: x, classes: {1: b}}", "data.classes.1: a key must be text. Found: 1. Hint: write it in quotes."),
        ("data: {root: x, ratio: [1]}", "data.ratio: has too few entries. Found: [1]."),
        ("data: {root: x, ratio: [1, 0, 1]}", "data.ratio: found [1.0, 0.0, 1.0]. Hint: train and val must be above 0"),
        ("loss: {weights: {dice: 0}}", "loss.weights: every weight is zero in {'dice': 0.0}. Hint: at least one"),
        ("data: {root: x, ratio: [1, 1, 1, 1]}", "data.ratio: must have 3 entries. Found: [1, 1, 1, 1]."),
    ],
)
def test_a_setting_of_several_kinds_gets_one_line(tmp_path: Path, text: str, line: str) -> None:
    lines = refusal(tmp_path, text if "name" in text else f"{text}\nname: x\n")
    lines = [found for found in lines if "data: is missing" not in found]
    assert len(lines) == 1
    assert lines[0].startswith("study.yaml:1:")
    assert lines[0].partition(" ")[2].startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1: 2", "3:1 1: a key must be text. Found: 1. Hint: write it in quotes."),
        ("yes: 2", "3:1 True: a key must be text. Found: True. Hint: write it in quotes."),
        ('"a\\nb": 2', "3:1 'a\\nb': unknown setting. Hint: there are name, data, script, model, "),
        ("training: {2: 3}", "3:12 training.2: a key must be text. Found: 2. Hint: write it in quotes."),
        ("epochs: 3", "3:1 epochs: unknown setting. Hint: did you mean training.epochs or stop.epochs?"),
        (
            "training.lr: 3",
            "3:1 training.lr: unknown setting. Hint: a dot is a level in the file, write training: {lr: …}.",
        ),
        (
            "scheduler: {grace: 30}",
            "3:13 scheduler.grace: 30 is beyond training.epochs, which is 20. Hint: lower grace",
        ),
    ],
)
def test_a_key_that_does_not_belong_is_placed(tmp_path: Path, text: str, line: str) -> None:
    (found,) = refusal(tmp_path, f"{HEAD}{text}\n")
    assert found.startswith(f"study.yaml:{line}")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("{}", "names no data. Hint: set root"),
        ("{root: a, build: 'b:c'}", "root belong to a folder, but build is set too. Hint: keep one."),
        (
            "{folds: 3, ignore: 9, build: 'b:c'}",
            "ignore, folds belong to a folder, but build is set too. Hint: keep one.",
        ),
        ("{root: a, arguments: {b: 1}}", "arguments are those of build, which is not set. Hint: remove them"),
        ("{root: a, split: s.json, ratio: [0.5, 0.5, 0]}", "split and ratio contradict each other. Hint: keep one."),
    ],
)
def test_data_settings_that_contradict_each_other_are_refused(tmp_path: Path, data: str, line: str) -> None:
    (found,) = refusal(tmp_path, f"name: toy\ndata: {data}\n")
    assert found.startswith(f"study.yaml:2:1 data: {line}")


@pytest.mark.parametrize(
    ("group", "line"),
    [
        ("{}", "needs either pattern or csv. Hint"),
        ("{pattern: a, csv: b, column: c}", "needs either pattern or csv. Hint"),
        ("{csv: t.csv}", "csv and column go together. Hint"),
    ],
)
def test_a_group_says_what_it_needs(tmp_path: Path, group: str, line: str) -> None:
    (found,) = refusal(tmp_path, f"name: toy\ndata:\n  root: a\n  group: {group}\n")
    assert found.startswith(f"study.yaml:4:3 data.group: {line}")


def test_overrides_are_their_own_place(tmp_path: Path) -> None:
    text = HEAD + "training: {lr: 1}\nscheduler: {grace: 3}\n"
    overrides = ("training.epoch=3", "training.lr=-1", "loss.weights={dice: x, dice: y}", "scheduler={grace: 0}")
    assert refusal(tmp_path, text, *overrides) == [
        "-s loss.weights the key 'dice' stands twice (first in line 1). Hint: keep one.",
        "-s training.lr: must be above 0. Found: -1.",
        "-s training.epoch: unknown setting. Hint: did you mean epochs?",
        "-s loss.weights.dice: must be a number. Found: 'y'.",
        "-s scheduler.grace: must be at least 1. Found: 0.",
    ]


def test_merged_and_repeated_settings_are_placed_where_they_are_written(tmp_path: Path) -> None:
    text = """\
name: toy
data: &data {build: "a.b:c", arguments: &arguments {x: 1}}
model: {arguments: *arguments}
training:
  <<: {lr: -1, batch: 0}
  batch: -2
"""
    file = read(tmp_path, text)
    assert file.settings["model"]["arguments"] == {"x": 1}
    assert [line.partition(". Found")[0] for line in refusal(tmp_path, text)] == [
        "study.yaml:6:3 training.batch: must be at least 1",
        "study.yaml:5:8 training.lr: must be above 0",
    ]
    assert file.place("model.arguments.x").endswith("study.yaml:3:9")
    assert file.place("storage.url").endswith("study.yaml")


def test_errors_of_the_search_space_get_their_place(tmp_path: Path) -> None:
    text = (
        HEAD
        + """\
search:
  space:
    presets: [loss_weight]
    parameters:
      training.lr: {float: [1, 0.1]}
      a b: {int: [1, 2]}
"""
    )
    file = read(tmp_path, text)
    with pytest.raises(StudyConfigError) as caught, file.placed():
        Space.from_config(file.load().search.space)
    assert str(caught.value).replace(f"{tmp_path}{os.sep}", "").splitlines() == [
        "study.yaml:5:5 search.space.presets: there is no preset 'loss_weight'. Hint: did you mean loss_weights?",
        "study.yaml:7:7 search.space.parameters.training.lr: low (1) must be below high (0.1). Hint: swap them.",
        (
            "study.yaml:8:7 search.space.parameters.'a b': 'a b' is no setting's name. "
            "Hint: write its dotted path, as training.lr."
        ),
    ]


def test_errors_of_the_components_keep_their_kind_and_errors_of_other_things_their_text(tmp_path: Path) -> None:
    file = read(tmp_path, HEAD)
    with pytest.raises(InvalidInputError, match=r"study\.yaml:2:8 data\.build: no such function"), file.placed():
        raise InvalidInputError("data.build: no such function")
    with pytest.raises(InvalidInputError, match=r"^studies/toy: is busy$"), file.placed():
        raise InvalidInputError("studies/toy: is busy")


def test_paths_are_relative_to_the_file_and_on_the_command_line_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, folder = tmp_path / "here", tmp_path / "folder"
    here.mkdir()
    folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = "name: toy\ndata: {root: images/../brain, images: png}\nmodel: {weights: ~/w.pt}\n"

    def paths(*overrides: str) -> tuple[str | None, ...]:
        config = read(folder, text, *overrides).load()
        found = (config.data.root, config.data.images, config.model.weights)
        return tuple(path.replace(str(tmp_path), "") if path else path for path in found)

    assert paths() == ("/folder/brain", "png", "/home/w.pt")
    assert paths("data.root=x", "model.weights=../w.pt") == ("/here/x", "png", "/w.pt")
    assert paths("data={root: x}", "model.weights=") == ("/here/x", "images", None)
    assert paths("data.root=~/x", "model.weights=/w.pt") == ("/home/x", "png", "/w.pt")


def test_a_path_that_is_none_is_refused(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, "name: toy\ndata: {root: ~nobody-here/x}\n")
    assert line.startswith("study.yaml:2:8 data.root: ")
    assert line.endswith("Found: '~nobody-here/x'.")


def test_grace_beyond_the_budget_is_refused() -> None:
    with pytest.raises(StudyConfigError, match=r"scheduler\.grace: 9 is beyond training\.epochs, which is 4"):
        StudyConfig.load(MINIMAL | {"training": {"epochs": 4}, "scheduler": {"grace": 9}})


def test_sampled_values_are_laid_over_and_checked() -> None:
    study = StudyConfig.load(MINIMAL)
    assert study.with_overrides({"training.lr": 0.5, "loss.weights": {"dice": 1.0}}).loss.weights == {"dice": 1.0}
    with pytest.raises(StudyConfigError, match=r"training\.lr: must be above 0"):
        study.with_overrides({"training.lr": 0.0})
    with pytest.raises(StudyConfigError, match=r"training\.lr\.x: training\.lr is no mapping"):
        study.with_overrides({"training.lr.x": 1})


def test_checkpoints_kept_by_default_depend_on_the_strategy() -> None:
    def keep(strategy: str, **settings: Any) -> Any:
        return StudyConfig.load(MINIMAL | {"checkpoint": {"strategy": strategy, **settings}}).keep

    assert (keep("best"), keep("all"), keep("all", max_checkpoints=3)) == (1, None, 3)


def test_a_parameter_of_the_space_can_be_set_by_its_dotted_name(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: toy\ndata: {build: a.b:c}\nsearch: {space: {presets: [loss_weights]}}\n")
    file = read_study_file(path, ["search.space.parameters.training.lr={float: [1e-4, 1e-2], log: true}"])
    assert file.load().search.space == {
        "presets": ["loss_weights"],
        "parameters": {"training.lr": {"float": [1e-4, 1e-2], "log": True}},
    }


def test_the_policy_of_a_study_reaches_every_term() -> None:
    settings = StudyConfig.model_validate({**MINIMAL, "loss": {"policy": {"empty": "skip"}}})
    expected = MaskPolicy(empty="skip", ignore_index=255)
    assert [term.policy for term in build_loss(settings, "multiclass", 255).terms.values()] == [expected, expected]
