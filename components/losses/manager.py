"""Losses and their schedules from plain configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from components.errors import InvalidInputError
from components.losses import kinds as term_kinds
from components.losses._checks import require_known
from components.losses.combined import CombinedLoss
from components.losses.evaluation import Candidates, evaluate
from components.losses.evaluation_result import LossEvaluation
from components.losses.inputs import MODES, Mode
from components.losses.presets import Presets, expand_preset, presets
from components.losses.schedules import LossSchedule, build_schedule
from components.mask_policy import MaskPolicy, as_policy

_COMBINED_KEYS = ("type", "mode", "ignore_index", "policy", "compile", "terms", "weights")
_DEFAULT_TERMS = ("dice", "bce")
_WEIGHT_SUFFIX = "_weight"


class LossManager:
    """Builds losses and schedules; every mistake in a configuration is an `InvalidInputError` with a hint."""

    @staticmethod
    def kinds() -> tuple[str, ...]:
        """Return the names of the built-in loss kinds."""
        return term_kinds.kinds()

    @staticmethod
    def presets() -> Presets:
        """Return losses for common uses by name, each with its reason and source; `print` shows a line each."""
        return presets()

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

                `compile: True` computes the terms through `torch.compile`, see `CombinedLoss`.

                Or `preset`, a name of `presets()`, in place of `type`; `weights` then change those of its terms.

        Raises:
            InvalidInputError: an unknown key, kind, option or mode, or a value that does not fit.

        Example:
            >>> loss = LossManager.create_loss_function({"type": "combined", "dice_weight": 0.7, "bce_weight": 0.3})
            >>> loss.weights
            {'dice': 0.7, 'bce': 0.3}
        """
        options = _mapping("loss", config or {})
        if "preset" in options:
            options = expand_preset(options)
        kind = options.pop("type", "combined")
        mode: Mode = options.pop("mode", "binary")
        ignore_index: int | None = options.pop("ignore_index", None)
        policy = as_policy(options.pop("policy", None))
        compiled = options.pop("compile", False)
        require_known("loss: mode", mode, MODES)
        if not isinstance(compiled, bool):
            raise InvalidInputError(f"loss: compile: found {compiled!r}; expected True or False.")
        if kind == "combined":
            terms, weights = _combined(mode, options, ignore_index, policy)
            return CombinedLoss(terms, weights, compile=compiled)
        if not isinstance(kind, str) or ":" not in kind:
            require_known("loss: type", kind, ("combined", *term_kinds.kinds()))
        name = kind.rpartition(":")[2]
        term = term_kinds.build_term(kind, mode, options, ignore_index, policy)
        return CombinedLoss({name: term}, compile=compiled)

    @staticmethod
    def evaluate(
        losses: Candidates,
        data: Any,
        *,
        model: nn.Module | None = None,
        mode: Mode | None = None,
        ignore_index: int | None = None,
        cases: int = 4,
        crop: int | Sequence[int] | None = None,
        foreground: float = 0.0,
        repeats: int = 5,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> LossEvaluation:
        """Compare losses on one's own masks before any training: cost, gradients, empty masks, weights.

        Without a network, logits are made from the masks at three stages of training (`stages.stage_logits`).

        Args:
            losses: configurations or modules by name; or names of presets and kinds; or None for all presets that fit.
            data: masks as a tensor or array, batches of them, (images, masks) batches such as a data loader's, a
                `Split` or `SegmentationData` (its training split, in random crops).
            model: gives the logits instead, from the data's images.
            mode: what the channels mean; by default that of the data, `binary` where they do not say.
            ignore_index: value of mask pixels that do not count; that of `SegmentationData` comes with it.
            cases: masks looked at, as one batch.
            crop: size of the random crops of a split; by default whole images, or the smallest size of all.
            foreground: share of the crops that are sure to show some, as in `training_batches`.
            repeats: passes whose median time is taken.
            seed: of crops and made-up logits.
            device: where to measure.

        Raises:
            InvalidInputError: a loss, the data or the network does not fit; names which.

        Example:
            >>> masks = torch.zeros(2, 1, 32, 32)
            >>> masks[:, :, 8:24, 15:17] = 1
            >>> found = LossManager.evaluate(["dice", "bce", "thin_structures"], masks)
            >>> [row["empty_verdict"] for row in found.rows()]
            ['no gradient', 'ok', 'ok']
        """
        return evaluate(
            losses,
            data,
            build=LossManager.create_loss_function,
            model=model,
            mode=mode,
            ignore_index=ignore_index,
            cases=cases,
            crop=crop,
            foreground=foreground,
            repeats=repeats,
            seed=seed,
            device=device,
        )

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


def _combined(
    mode: Mode, options: dict[str, Any], ignore_index: int | None, policy: MaskPolicy | None
) -> tuple[dict[str, nn.Module], dict[str, Any] | None]:
    """Terms and weights by name."""
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
    return {name: _term(name, mode, spec, ignore_index, policy) for name, spec in terms.items()}, weights


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
