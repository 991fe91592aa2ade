"""Losses and their schedules from plain configuration."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from components.errors import InvalidInputError
from components.losses import kinds as term_kinds
from components.losses._checks import require_known
from components.losses.combined import CombinedLoss
from components.losses.inputs import MODES, Mode
from components.losses.schedules import LossSchedule, build_schedule

_COMBINED_KEYS = ("type", "mode", "ignore_index", "terms", "weights")
_DEFAULT_TERMS = ("dice", "bce")
_WEIGHT_SUFFIX = "_weight"


class LossManager:
    """Builds losses and schedules; every mistake in a configuration is an `InvalidInputError` with a hint."""

    @staticmethod
    def kinds() -> tuple[str, ...]:
        """Return the names of the built-in loss kinds."""
        return term_kinds.kinds()

    @staticmethod
    def create_loss_function(config: Mapping[str, Any] | None = None) -> CombinedLoss:
        """Build a loss; always a `CombinedLoss`, of one term too, so that breakdown and schedules work for all.

        Args:
            config: None for Dice and BCE, half each, binary. Otherwise `type`, an optional `mode` and an optional
                `ignore_index` (value of target pixels that no term counts) with

                - `combined` and one `<kind>_weight` per term, such as `dice_weight`;
                - `combined`, `terms` (options by term name; `kind` is the name unless given) and `weights` (by term
                  name, 0 if left out, all equal without `weights`);
                - a kind, or `package.module:Class`, and its options.

        Raises:
            InvalidInputError: an unknown key, kind, option or mode, or a value that does not fit.

        Example:
            >>> loss = LossManager.create_loss_function({"type": "combined", "dice_weight": 0.7, "bce_weight": 0.3})
            >>> loss.weights
            {'dice': 0.7, 'bce': 0.3}
        """
        options = _mapping("loss", config or {})
        kind = options.pop("type", "combined")
        mode: Mode = options.pop("mode", "binary")
        ignore_index: int | None = options.pop("ignore_index", None)
        require_known("loss: mode", mode, MODES)
        if kind == "combined":
            return _combined(mode, options, ignore_index)
        if not isinstance(kind, str) or ":" not in kind:
            require_known("loss: type", kind, ("combined", *term_kinds.kinds()))
        name = kind.rpartition(":")[2]
        return CombinedLoss({name: term_kinds.build_term(kind, mode, options, ignore_index)})

    @staticmethod
    def create_loss_scheduler(
        loss: nn.Module, config: Mapping[str, Any] | None = None, *, epochs: int | None = None
    ) -> LossSchedule:
        """Build a schedule for a combined loss, from the weights that it has now.

        Args:
            loss: a `CombinedLoss`.
            config: `type`, a name of `components.losses.schedules.schedule_kinds`, and its options:
                `{"type": "constant"}` (as None), `{"type": "linear", "end": {...}, "epochs": 30}`,
                `{"type": "adaptive"}` and so on.
            epochs: full budget, for schedules that need it and whose configuration does not give it.

        Raises:
            InvalidInputError: the loss has no weights, or the configuration does not fit.
        """
        options = _mapping("loss schedule", config or {"type": "constant"})
        kind = options.pop("type", None)
        return build_schedule(kind, loss, options, epochs=epochs)


def _combined(mode: Mode, options: dict[str, Any], ignore_index: int | None) -> CombinedLoss:
    if "terms" in options:
        for name in options:
            require_known("loss: key", name, _COMBINED_KEYS)
        terms = _mapping("loss: terms", options["terms"])
        weights = options.get("weights")
        if weights is not None:
            weights = _mapping("loss: weights", weights)
    else:
        weights = _short_weights(options) or dict.fromkeys(_DEFAULT_TERMS, 0.5)
        terms = {name: {} for name in weights}
    return CombinedLoss({name: _term(name, mode, spec, ignore_index) for name, spec in terms.items()}, weights)


def _short_weights(options: dict[str, Any]) -> dict[str, Any]:
    """Read `dice_weight: 0.7` as the term dice with weight 0.7, and `weights: {dice: 0.7}` alike."""
    if "weights" in options and len(options) == 1:
        return _mapping("loss: weights", options["weights"])
    short = tuple(f"{name}{_WEIGHT_SUFFIX}" for name in term_kinds.kinds())
    for name in options:
        require_known("loss: key", name, (*_COMBINED_KEYS, *short))
        if name == "weights":
            raise InvalidInputError("loss: found weights beside <kind>_weight. Hint: write all in weights.")
    return {name.removesuffix(_WEIGHT_SUFFIX): value for name, value in options.items()}


def _term(name: str, mode: Mode, spec: Any, ignore_index: int | None) -> nn.Module:
    where = f"loss.terms.{name}"
    options = _mapping(where, spec or {})
    try:
        return term_kinds.build_term(options.pop("kind", name), mode, options, ignore_index)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from error


def _mapping(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{what}: found {value!r}; expected a mapping.")
    return dict(value)
