import pytest

from components.losses import LossManager
from search_spaces import PRESETS, Space, SpaceError, baselines, preset


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("loss_weights", ["loss.weights  weights of dice, bce, focal with sum 1, under 0.02 becomes 0"]),
        (
            "checkpoint_strategies",
            [
                "checkpoint.averaging  one of none, ema, swa, soup",
                "checkpoint.ema_decay  float 0.9 to 0.999, when checkpoint.averaging is ema",
                "checkpoint.strategy   one of best, epoch, interval, adaptive",
                "checkpoint.interval   int 2 to 5, when checkpoint.strategy is interval",
            ],
        ),
        (
            "optimizer",
            [
                "training.optimizer     one of adamw, sgd",
                "training.lr            float 0.0001 to 0.01, log scale",
                "training.weight_decay  float 1e-06 to 0.01, log scale",
                "training.momentum      float 0.8 to 0.99, when training.optimizer is sgd",
            ],
        ),
    ],
)
def test_presets_are_what_the_documentation_says(name: str, lines: list[str]) -> None:
    assert preset(name).describe() == lines


def test_all_presets_fit_together_in_every_mode() -> None:
    for mode in ("binary", "multilabel", "multiclass"):
        together = Space.from_config({"presets": [name for name in PRESETS if name != "recipe"]}, mode=mode)
        assert set(together.parameters) == set(preset("full", mode=mode).parameters)


def test_the_full_preset_draws_weights_only_where_no_ready_made_loss_is() -> None:
    space = preset("full")
    settings = space.examples(40)
    assert {"loss.weights" in setting for setting in settings} == {True, False}
    assert all(("loss.weights" in setting) == (setting["loss.preset"] is None) for setting in settings)


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
def test_every_loss_and_schedule_of_the_presets_can_be_built(mode: str) -> None:
    options = {p.name: p.distribution for p in preset("full", mode=mode).parameters}
    for name in options["loss.preset"].options:  # type: ignore[attr-defined]  # a Choice
        for kind in options["loss.schedule.type"].options:  # type: ignore[attr-defined]  # a Choice
            settings = {"preset": name} if name else {"terms": {"dice": {}, "focal": {}}, "type": "combined"}
            loss = LossManager.create_loss_function({**settings, "mode": mode})
            LossManager.create_loss_scheduler(loss, {"type": kind}, epochs=5)


def test_classes_have_ce_in_place_of_bce() -> None:
    assert preset("loss_weights", mode="multiclass").distributions().keys() == {"loss.weights~dice", "loss.weights~ce"}


def test_an_unknown_preset_or_mode_is_refused_with_a_hint() -> None:
    with pytest.raises(SpaceError) as caught:
        preset("loss_weigths")
    assert str(caught.value) == "there is no preset 'loss_weigths'. Hint: did you mean loss_weights?"
    for use in (lambda: preset("optimizer", mode="multiclas"), lambda: baselines("multiclas")):
        with pytest.raises(SpaceError) as caught:
            use()
        assert str(caught.value) == "mode: 'multiclas' is unknown. Hint: did you mean multiclass?"


def test_baselines_are_the_usual_losses_with_fixed_weights() -> None:
    fixed = {"loss.preset": None, "loss.schedule": {"type": "constant"}}
    focal = {"gamma": 2.0}
    assert {baseline.name: baseline.overrides for baseline in baselines()} == {
        "bce": fixed | {"loss.terms": {"bce": {}}, "loss.weights": {"bce": 1.0}},
        "dice": fixed | {"loss.terms": {"dice": {}}, "loss.weights": {"dice": 1.0}},
        "dice_bce": fixed
        | {
            "loss.terms": {"dice": {}, "bce": {}},
            "loss.weights": {"dice": 0.5, "bce": 0.5},
        },
        "dice_focal": fixed
        | {
            "loss.terms": {"dice": {}, "focal": focal},
            "loss.weights": {"dice": 0.5, "focal": 0.5},
        },
    }
    assert [baseline.name for baseline in baselines("multiclass")] == ["ce", "dice", "dice_ce", "dice_focal"]


def test_changing_a_baseline_leaves_the_next_one_alone() -> None:
    baselines()[0].overrides["loss.weights"]["bce"] = 0.0
    assert baselines()[0].overrides["loss.weights"] == {"bce": 1.0}


def test_the_recipe_s_preset_searches_what_a_training_is_decided_by() -> None:
    names = [parameter.name for parameter in preset("recipe").parameters]
    assert names == ["training.lr", "training.weight_decay", "training.augment_strength", "loss.weights"]
