"""Recipes lay defaults under a study file, and their networks train."""

from typing import Any, get_args

import pytest
import torch

from components.dotted import import_object
from components.losses.deep_supervision import outputs_of
from components.training.named import AUGMENTATIONS
from tuning import StudyConfig
from tuning.config.recipes import RECIPES, RecipeName
from tuning.config.sections import CheckpointConfig, ModelConfig
from tuning.config.training import TrainingConfig


def load(training: dict[str, Any], **sections: Any) -> StudyConfig:
    return StudyConfig.load({"name": "x", "data": {"build": "a:b"}, "training": training, **sections})


def test_every_name_has_a_recipe() -> None:
    assert list(RECIPES) == list(get_args(RecipeName))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_s_settings_are_those_that_a_study_has(name: RecipeName) -> None:
    recipe, config = RECIPES[name], load({"recipe": name, "crop": 64})
    assert recipe.training.keys() <= TrainingConfig.model_fields.keys()
    assert recipe.network.keys() <= ModelConfig.model_fields.keys()
    assert recipe.checkpoint.keys() <= CheckpointConfig.model_fields.keys()
    for section, values in (
        ("training", recipe.training),
        ("model", recipe.network),
        ("checkpoint", recipe.checkpoint),
    ):
        for key, value in values.items():
            assert getattr(getattr(config, section), key) == value, (section, key)
    assert config.training.augment in AUGMENTATIONS


def test_what_a_study_file_says_counts_more_than_its_recipe() -> None:
    config = load({"recipe": "nnunet_like", "lr": 0.5, "crop": 64}, checkpoint={"averaging": "swa"})
    assert (config.training.lr, config.training.steps, config.checkpoint.averaging) == (0.5, 250, "swa")
    own = load({"recipe": "standard"}, model={"build": "mine:network"})
    assert (own.model.build, own.model.arguments) == ("mine:network", {})
    weights = load({"recipe": "standard"}, model={"divisor": 8})
    assert (weights.model.divisor, weights.model.arguments["num_res_units"]) == (8, 2)


def test_whole_cases_are_not_asked_for_crops_that_show_foreground() -> None:
    assert load({"recipe": "strong"}).training.foreground == 0
    assert load({"recipe": "strong", "crop": 64}).training.foreground == pytest.approx(0.33)


def test_a_trial_s_overrides_are_laid_over_the_recipe() -> None:
    config = load({"recipe": "standard"}).with_overrides({"training.lr": 0.25, "training.augment": "flip"})
    assert (config.training.lr, config.training.augment, config.training.optimizer) == (0.25, "flip", "adamw")
    assert config.with_overrides({}) == config


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].network])
def test_a_recipe_s_network_gives_logits_of_the_image_s_size(name: RecipeName, dims: int) -> None:
    recipe = RECIPES[name].network
    build, arguments = import_object(recipe["build"], "model.build"), dict(recipe["arguments"])
    if "nnunet" in recipe["build"]:
        arguments["channels"] = [4, 8, 8, 8, 8]  # as deep as it is, but narrow
    network, images = build(2, 3, dims, **arguments), torch.zeros(1, 2, *[32] * dims)
    assert network.eval()(images).shape == (1, 3, *[32] * dims)
    outputs = outputs_of(network.train()(images), axes=images.ndim)
    assert outputs[0].shape == (1, 3, *[32] * dims)
    assert (len(outputs) > 1) == ("nnunet" in recipe["build"])
