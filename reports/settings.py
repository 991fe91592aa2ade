"""What a trial was: its sampled settings flat, and the words that group it with others."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def flat_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Sampled settings as one level of plain values; a mapping's entries are appended to its path by a dot.

    Example:
        >>> flat_settings({"loss.weights": {"dice": 0.5, "bce": 0.5}, "training.lr": 1e-3})
        {'loss.weights.dice': 0.5, 'loss.weights.bce': 0.5, 'training.lr': 0.001}
    """
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            found |= flat_settings({f"{name}.{key}": part for key, part in value.items()})
        else:
            found[name] = value if isinstance(value, bool | int | float | str | None) else str(value)
    return found


def settings_table(trials: pd.DataFrame) -> pd.DataFrame:
    """A column a setting that search trials drew, a row a trial, indexed as `trials`."""
    table = pd.DataFrame([flat_settings(params) for params in trials["params"]], index=trials.index)
    return table.dropna(axis=1, how="all")


def loss_weights(params: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, float]:
    """The weights of a trial's loss terms that are not 0, as drawn or else as the study says."""
    weights = params.get("loss.weights") or (settings.get("loss") or {}).get("weights") or {}
    single = {
        name.removeprefix("loss.weights."): value for name, value in params.items() if name.startswith("loss.weights.")
    }
    return {str(name): float(value) for name, value in {**weights, **single}.items() if value}


def loss_family(params: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The loss terms that take part, such as `bce + dice`; a preset's name where it names them."""
    weights = loss_weights(params, settings)
    loss = settings.get("loss") or {}
    preset = params.get("loss.preset", loss.get("preset"))
    return " + ".join(sorted(weights)) or str(preset or " + ".join(sorted(loss.get("terms") or {})) or "default")


def schedule_name(params: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The loss schedule of a trial."""
    schedule = params.get("loss.schedule") or (settings.get("loss") or {}).get("schedule") or {}
    kind = schedule.get("type", "constant") if isinstance(schedule, Mapping) else schedule
    return str(params.get("loss.schedule.type", kind))


def strategy_name(params: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The checkpoint strategy of a trial, and how it averages weights if it does."""
    base = settings.get("checkpoint") or {}
    strategy = params.get("checkpoint.strategy", base.get("strategy", "best"))
    averaging = params.get("checkpoint.averaging", base.get("averaging", "none"))
    return str(strategy) if averaging == "none" else f"{strategy}, {averaging}"
