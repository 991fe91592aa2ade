"""Losses and their schedules from plain configuration."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from components.errors import InvalidInputError
from components.losses import kinds as term_kinds
from components.losses._checks import require_known
from components.losses.adaptive import AdaptiveSchedule
from components.losses.combined import CombinedLoss
from components.losses.inputs import MODES, Mode
from components.losses.schedules import ConstantSchedule, LinearSchedule, LossSchedule
from components.mask_policy import MaskPolicy, as_policy

_COMBINED_KEYS = ("type", "mode", "ignore_index", "policy", "terms", "weights")
_DEFAULT_TERMS = ("dice", "bce")
_WEIGHT_SUFFIX = "_weight"

_SCHEDULES: dict[str, tuple[Callable[..., LossSchedule], tuple[str, ...], tuple[str, ...]]] = {
    # type: class, required options, other options
    "constant": (ConstantSchedule, (), ()),
    "linear": (LinearSchedule, ("end", "epochs"), ()),
    "adaptive": (AdaptiveSchedule, (), ("temperature",)),
}


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
            config: None for Dice and BCE, half each, binary. Otherwise `type`, an optional `mode`, an optional
                `ignore_index` (value of target pixels that no term counts) and an optional `policy` (choices of
                `components.mask_policy.MaskPolicy` by name, for all terms) with

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
        policy = as_policy(options.pop("policy", None))
        require_known("loss: mode", mode, MODES)
        if kind == "combined":
            return _combined(mode, options, ignore_index, policy)
        if not isinstance(kind, str) or ":" not in kind:
            require_known("loss: type", kind, ("combined", *term_kinds.kinds()))
        name = kind.rpartition(":")[2]
        return CombinedLoss({name: term_kinds.build_term(kind, mode, options, ignore_index, policy)})

    @staticmethod
    def create_loss_scheduler(
        loss: nn.Module, config: Mapping[str, Any] | None = None, *, epochs: int | None = None
    ) -> LossSchedule:
        """Build a schedule for a combined loss, from the weights that it has now.

        Args:
            loss: a `CombinedLoss`.
            config: `{"type": "constant"}` (as None), `{"type": "linear", "end": {...}, "epochs": 30}` or
                `{"type": "adaptive", "temperature": 2.0}`.
            epochs: full budget, for schedules that need it and whose configuration does not give it.

        Raises:
            InvalidInputError: the loss has no weights, or the configuration does not fit.
        """
        options = _mapping("loss schedule", config or {"type": "constant"})
        kind = options.pop("type", None)
        require_known("loss schedule: type", kind, tuple(_SCHEDULES))
        build, required, optional = _SCHEDULES[kind]
        for name in options:
            require_known(f"loss schedule {kind!r}: option", name, (*required, *optional))
        if "epochs" in required and epochs is not None:
            options.setdefault("epochs", epochs)
        for name in required:
            if name not in options:
                raise InvalidInputError(f"loss schedule {kind!r}: {name} is missing.")
        return build(loss, **options)


def _combined(mode: Mode, options: dict[str, Any], ignore_index: int | None, policy: MaskPolicy | None) -> CombinedLoss:
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
    built = {name: _term(name, mode, spec, ignore_index, policy) for name, spec in terms.items()}
    return CombinedLoss(built, weights)


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


def _term(name: str, mode: Mode, spec: Any, ignore_index: int | None, policy: MaskPolicy | None) -> nn.Module:
    where = f"loss.terms.{name}"
    options = _mapping(where, spec or {})
    try:
        return term_kinds.build_term(options.pop("kind", name), mode, options, ignore_index, policy)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from error


def _mapping(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{what}: found {value!r}; expected a mapping.")
    return dict(value)
