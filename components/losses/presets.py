"""Ready-made losses for common uses, each with its reason and its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from components.errors import InvalidInputError
from components.losses._checks import listed, require_known
from components.losses.inputs import MODES, Mode

_WEIGHT_SUFFIX = "_weight"
_SOFT_MODES: tuple[Mode, ...] = ("binary", "multilabel")


@dataclass(frozen=True)
class LossPreset:
    """A loss for a common use.

    Attributes:
        name: as in `{"preset": name}`.
        summary: the problem that it is for, in a few words.
        reason: why these terms.
        source: who proposed or measured them.
        config: `terms` and `weights`, as `LossManager.create_loss_function` takes them; the weights add up to 1.
        modes: where it makes sense.
        refusal: why not elsewhere, with a hint.
    """

    name: str
    summary: str
    reason: str
    source: str
    config: Mapping[str, Any] = field(repr=False)
    modes: tuple[Mode, ...] = MODES
    refusal: str = ""

    def __str__(self) -> str:
        """The preset in one line."""
        parts = (f"{weight:.3g} {term}{self._options(term)}" for term, weight in self.config["weights"].items())
        return f"{self.name}: {self.summary}: {' + '.join(parts)}"

    def _options(self, term: str) -> str:
        options = self.config["terms"][term].items()
        shown = (f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in options)
        return f"({', '.join(shown)})" if options else ""


class Presets(Mapping[str, LossPreset]):
    """Presets by name; prints as one line each.

    Example:
        >>> print(Presets([presets()["balanced"]]))
        balanced: foreground and background of like size; where to start: 0.5 dice + 0.5 bce
    """

    def __init__(self, presets: "list[LossPreset] | tuple[LossPreset, ...]") -> None:
        self._presets = MappingProxyType({preset.name: preset for preset in presets})

    def __getitem__(self, name: str) -> LossPreset:
        """The preset of that name.

        Raises:
            KeyError: there is none.
        """
        return self._presets[name]

    def __iter__(self) -> Any:
        """The names, in their order."""
        return iter(self._presets)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._presets)

    def __str__(self) -> str:
        """One line each."""
        return "\n".join(map(str, self._presets.values()))

    def __repr__(self) -> str:
        """The names."""
        return f"Presets({list(self._presets)})"


def presets() -> Presets:
    """Return all presets."""
    return _PRESETS


def expand_preset(options: Mapping[str, Any]) -> dict[str, Any]:
    """Put a preset's terms and weights in its place.

    Args:
        options: `preset`, and what is said beside it: `mode`, `ignore_index`, and `weights`, which replace the
            preset's own for the terms that they name.

    Returns:
        The configuration with `terms` and `weights` in place of `preset`; other keys as they are.

    Raises:
        InvalidInputError: no such preset, one that does not fit the mode, or a key that contradicts it.

    Example:
        >>> expand_preset({"preset": "balanced", "mode": "multiclass"})["weights"]
        {'dice': 0.5, 'bce': 0.5}
    """
    found = dict(options)
    name = found.pop("preset")
    require_known("loss: preset", name, tuple(_PRESETS))
    preset = _PRESETS[name]
    contradicting = [key for key in found if key in ("type", "terms") or str(key).endswith(_WEIGHT_SUFFIX)]
    if contradicting:
        raise InvalidInputError(
            f"loss: found {listed(contradicting)} beside preset {name!r}, which names the terms itself. "
            "Hint: keep one; weights: {term: number} changes a preset's weights."
        )
    mode = found.get("mode", "binary")
    require_known("loss: mode", mode, MODES)
    if mode not in preset.modes:
        raise InvalidInputError(f"loss: preset {name!r} is not for mode {mode!r}: {preset.refusal}")
    return found | {
        "terms": {term: dict(spec) for term, spec in preset.config["terms"].items()},
        "weights": preset.config["weights"] | _checked_weights(found.get("weights"), preset),
    }


def _checked_weights(weights: Any, preset: LossPreset) -> dict[str, Any]:
    if weights is None:
        return {}
    if not isinstance(weights, Mapping):
        raise InvalidInputError(f"loss: weights: found {weights!r}; expected a mapping.")
    for term in weights:
        require_known(f"loss: weights of preset {preset.name!r}: term", term, tuple(preset.config["terms"]))
    return dict(weights)


def _config(**parts: tuple[float, dict[str, Any]]) -> Mapping[str, Any]:
    """Weight and options of each term."""
    return MappingProxyType(
        {
            "terms": {name: options for name, (_, options) in parts.items()},
            "weights": {name: weight for name, (weight, _) in parts.items()},
        }
    )


_ODYSSEY = "Ma et al. 2021, Loss odyssey in medical image segmentation"

_PRESETS = Presets(
    [
        LossPreset(
            "balanced",
            "foreground and background of like size; where to start",
            "Dice sees the overlap, cross-entropy gives every pixel a gradient, on empty masks too.",
            f"{_ODYSSEY}: compounds with Dice were most robust; Isensee et al. 2021, nnU-Net, trains with Dice + CE",
            _config(dice=(0.5, {}), bce=(0.5, {})),
        ),
        LossPreset(
            "imbalanced",
            "a few percent of foreground",
            "Focal fades the many easy background pixels, whose sum drowns the foreground in cross-entropy.",
            f"Lin et al. 2017 (focal, gamma 2); {_ODYSSEY}: Dice + focal among the most robust",
            _config(dice=(0.5, {}), focal=(0.5, {"gamma": 2.0})),
        ),
        LossPreset(
            "rare_foreground",
            "well under a percent of foreground",
            "One loss whose region half and pixel half both favour foreground, without fading it.",
            "Yeung et al. 2022, Unified focal loss (delta 0.6, gamma 0.5, both halves alike)",
            _config(unified_focal=(1.0, {"weight": 0.5, "delta": 0.6, "gamma": 0.5})),
        ),
        LossPreset(
            "hard_pixels",
            "most pixels are easy and labels are clean",
            "Only the hardest tenth of the pixels pull; needs labels that can be trusted.",
            f"Wu et al. 2016; {_ODYSSEY}: Dice + TopK among the most robust",
            _config(dice=(0.5, {}), topk=(0.5, {"share": 0.1})),
        ),
        LossPreset(
            "small_lesions",
            "few small objects, many crops without any",
            "Misses cost more than false alarms; sums are pooled over the batch, since a crop without a lesion has no "
            "overlap of its own; cross-entropy keeps a gradient there.",
            "Abraham & Khan 2018 (focal Tversky, gamma 4/3, misses 0.7); Tilborghs et al. 2022 (pooling)",
            _config(focal_tversky=(0.5, {"alpha": 0.3, "beta": 0.7, "gamma": 4 / 3, "batch": True}), bce=(0.5, {})),
        ),
        LossPreset(
            "few_misses",
            "a miss is worse than a false alarm",
            "Tversky weighs misses 0.7 and false alarms 0.3.",
            "Salehi et al. 2017 (beta 0.7); cross-entropy beside it as in the compounds of Ma et al. 2021",
            _config(tversky=(0.5, {"alpha": 0.3, "beta": 0.7}), bce=(0.5, {})),
        ),
        LossPreset(
            "empty_masks",
            "many images have no foreground at all",
            "Dice of one image without foreground has no gradient; pooled over the batch it has one.",
            "Tilborghs et al. 2022, The Dice loss in the context of missing or empty labels",
            _config(dice=(0.5, {"batch": True}), bce=(0.5, {})),
        ),
        LossPreset(
            "thin_structures",
            "vessels, roads, neurites",
            "Overlap hardly sees a gap in a thin branch; the truth's widened skeleton does.",
            "Kirchhoff et al. 2024, Skeleton recall loss, added to Dice + CE with the same weight",
            _config(dice=(1 / 3, {}), bce=(1 / 3, {}), skeleton_recall=(1 / 3, {})),
        ),
        LossPreset(
            "connectivity",
            "thin structures where a false branch is as bad as a gap",
            "clDice compares both skeletons, so that false branches cost too; slower than skeleton recall. "
            "Cross-entropy stands beside it since clDice has next to no gradient on empty masks.",
            "Shit et al. 2021, clDice, half of the loss (their alpha, at most 0.5), beside Dice",
            _config(dice=(0.25, {}), bce=(0.25, {}), cldice=(0.5, {})),
        ),
        LossPreset(
            "boundary_sensitive",
            "the outline decides",
            "Distance to the true border tells far errors from near ones; it grows with the image in pixels, so that "
            "its weight starts small. Let it grow: loss schedule linear, to the end that you want.",
            "Kervadec et al. 2019, Boundary loss (starts at 0.01 beside a region loss)",
            _config(dice=(0.495, {}), bce=(0.495, {}), boundary=(0.01, {})),
        ),
        LossPreset(
            "noisy_labels",
            "masks with mistakes",
            "Smoothed labels do not reward being sure of a wrong one; focal and top-k would dwell on the mistakes.",
            "Szegedy et al. 2016 (label smoothing 0.1); Lukasik et al. 2020 (against noisy labels)",
            _config(dice=(0.5, {}), bce=(0.5, {"label_smoothing": 0.1})),
        ),
        LossPreset(
            "multiclass_organs",
            "many exclusive classes, not all in every crop",
            "Background is left out of Dice, where it would hide the organs, and Dice is pooled over the batch, since "
            "an organ that a crop does not show has no overlap of its own.",
            "Isensee et al. 2021, nnU-Net (Dice + CE, background left out, pooled in 2D)",
            _config(dice=(0.5, {"include_background": False, "batch": True}), bce=(0.5, {})),
            modes=("multiclass",),
            refusal="there is no background class to leave out. Hint: use 'balanced', or 'empty_masks'.",
        ),
        LossPreset(
            "soft_labels",
            "several raters, or targets between 0 and 1",
            "Dice is smallest at 0 or 1 even where raters disagree; the semimetric is smallest at their mean.",
            "Wang et al. 2023, Dice semimetric losses",
            _config(dice_semimetric=(0.5, {}), bce=(0.5, {})),
            modes=_SOFT_MODES,
            refusal="class indices cannot be soft. Hint: use 'balanced', or one channel a class in 'multilabel'.",
        ),
    ]
)
