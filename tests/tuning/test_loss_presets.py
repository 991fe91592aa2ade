"""`loss.preset` in a study file: what it builds, what it contradicts, and a search over it."""

from collections.abc import Callable
from typing import Any

import pytest

from search_spaces import baselines
from tests.toys import tiny_data
from tuning import StudyConfig
from tuning.building import build_loss
from tuning.checks import check_study
from tuning.errors import StudyConfigError

Make = Callable[..., StudyConfig]


def searching(**parameters: Any) -> dict[str, Any]:
    return {"space": {"parameters": {name.replace("__", "."): spec for name, spec in parameters.items()}}}


def test_a_preset_gives_terms_and_weights(study_config: Make) -> None:
    loss = build_loss(study_config(loss={"preset": "imbalanced"}), "binary")
    assert loss.weights == {"dice": 0.5, "focal": 0.5}


def test_weights_change_those_of_a_preset(study_config: Make) -> None:
    config = study_config(loss={"preset": "imbalanced", "weights": {"dice": 0.9, "focal": 0.1}})
    assert build_loss(config, "binary").weights == {"dice": 0.9, "focal": 0.1}


def test_a_preset_keeps_the_weights_that_are_not_named(study_config: Make) -> None:
    config = study_config(loss={"preset": "balanced", "weights": {"dice": 0}})
    assert build_loss(config, "binary").weights == {"dice": 0.0, "bce": 0.5}


def test_options_behind_a_condition_are_tried_too(study_config: Make) -> None:
    space = searching(
        loss__schedule__type={"choice": ["constant", "softadapt"]},
        loss__schedule__normalized={"choice": [True, "maybe"], "when": {"loss.schedule.type": "softadapt"}},
    )
    with pytest.raises(StudyConfigError, match=r"loss\.schedule\.normalized: maybe: .*found 'maybe'"):
        check_study(study_config(search=space), tiny_data())


def test_a_condition_outside_the_loss_is_tried_too(study_config: Make) -> None:
    space = searching(
        training__optimizer={"choice": ["adamw", "sgd"]},
        loss__terms__x__kind={"choice": ["dice", "wrongkind"], "when": {"training.optimizer": "sgd"}},
    )
    with pytest.raises(StudyConfigError, match=r"loss\.terms\.x\.kind: wrongkind"):
        check_study(study_config(search=space), tiny_data())


def test_terms_contradict_a_preset(study_config: Make) -> None:
    with pytest.raises(StudyConfigError, match=r"loss: preset and terms contradict each other\. Hint: keep one"):
        study_config(loss={"preset": "balanced", "terms": {"dice": {}}})


def test_baselines_do_not_depend_on_the_preset_of_the_study(study_config: Make) -> None:
    config = study_config(loss={"preset": "thin_structures"})
    built = [build_loss(config.with_overrides(usual.overrides), "binary").weights for usual in baselines()]
    assert built == [{"bce": 1}, {"dice": 1}, {"dice": 0.5, "bce": 0.5}, {"dice": 0.5, "focal": 0.5}]


def test_a_search_over_presets_is_accepted(study_config: Make) -> None:
    config = study_config(search=searching(loss__preset={"choice": ["balanced", "thin_structures"]}))
    (parameter,) = check_study(config, tiny_data()).parameters
    assert parameter.name == "loss.preset"
    tried = config.with_overrides({"loss.preset": "thin_structures"})
    assert "skeleton_recall" in build_loss(tried, "binary").weights


def test_weights_of_one_preset_can_be_searched_where_it_is_chosen(study_config: Make) -> None:
    space = searching(
        loss__preset={"choice": ["balanced", "imbalanced"]},
        loss__weights={"simplex": ["dice", "focal"], "when": {"loss.preset": "imbalanced"}},
    )
    assert len(check_study(study_config(search=space), tiny_data())) == 2


def test_a_search_over_kinds_and_weights_is_accepted(study_config: Make) -> None:
    space = searching(
        loss__weights={"simplex": ["region", "pixel"]},
        loss__terms__region__kind={"choice": ["dice", "tversky", "lovasz"]},
        loss__terms__pixel__kind={"choice": ["bce", "focal", "topk"]},
    )
    assert len(check_study(study_config(search=space), tiny_data())) == 3


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (searching(loss__preset={"choice": ["balanced", "thin"]}), r"parameters\.loss\.preset: thin: .*found 'thin'"),
        (
            searching(loss__preset={"choice": ["balanced", "multiclass_organs"]}),
            r"loss\.preset: multiclass_organs: .*is not for mode 'binary'.*Hint: use 'balanced'",
        ),
        (
            searching(loss__preset={"choice": ["imbalanced", "balanced"]}, loss__weights={"simplex": ["dice", "bce"]}),
            r"loss\.preset: imbalanced: .*weights of preset 'imbalanced': term: found 'bce'",
        ),
        (
            searching(loss__terms__a__kind={"choice": ["dice", "dise"]}, loss__weights={"simplex": ["a", "bce"]}),
            r"loss\.terms\.a\.kind: dise: .*did you mean 'dice'",
        ),
    ],
)
def test_every_option_is_built_before_the_first_trial(study_config: Make, space: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyConfigError, match=message):
        check_study(study_config(search=space), tiny_data())
