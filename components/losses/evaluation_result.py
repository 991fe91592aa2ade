"""What a comparison of losses found, as numbers, as a table and in plain sentences."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

from components.losses.behaviour import EmptyMaskBehaviour, StageBehaviour
from components.losses.inputs import Mode

_SMALL_SHARE = 0.05  # below it a term hardly steers
_SAME_DIRECTION = 0.99  # a turn of 8 degrees
_SLOW = 5.0  # times the fastest


@dataclass(frozen=True)
class Stage:
    """Logits that the losses were measured at.

    Attributes:
        name: `untrained`, `half` or `good`; `model` where a network gave them.
        dice: hard Dice of the logits, over all cases and foreground classes.
    """

    name: str
    dice: float


@dataclass(frozen=True)
class LossFindings:
    """What was found of one loss.

    Attributes:
        name: of the candidate.
        milliseconds: median of forward and backward pass to the logits.
        mebibytes: most memory held at once during them, beyond logits and masks.
        stages: how it pulls at each stage.
        empty: how it pulls where a mask is empty; None where no mask has foreground to compare with.
    """

    name: str
    milliseconds: float
    mebibytes: float
    stages: dict[str, StageBehaviour]
    empty: EmptyMaskBehaviour | None

    @property
    def weight_cosine(self) -> float | None:
        """The smallest over the stages; None for a single term."""
        found = [stage.weight_cosine for stage in self.stages.values() if stage.weight_cosine is not None]
        return min(found, default=None)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms that train."""
        return tuple(next(iter(self.stages.values())).shares)


@dataclass(frozen=True)
class LossEvaluation:
    """Candidate losses side by side; prints as a table with notes.

    Attributes:
        candidates: what was found of each.
        stages: where they were measured.
        mode: what the channels mean.
        shape: of the logits, `(B, C, *spatial)`.
        foreground: share of foreground among the pixels that count.
        device: where time and memory were measured.
        threads: of the CPU.
    """

    candidates: tuple[LossFindings, ...]
    stages: tuple[Stage, ...]
    mode: Mode
    shape: tuple[int, ...]
    foreground: float
    device: str
    threads: int

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a loss, all with the same keys; None where a loss has no such term or number."""
        terms = list(dict.fromkeys(chain.from_iterable(found.terms for found in self.candidates)))
        return [_row(found, terms) for found in self.candidates]

    def table(self) -> str:
        """The table, aligned and in Markdown; numbers of stages stand in their order, with `>` between."""
        header = ("loss", "ms", "MiB", "value", "gradient by term, %", "on foreground, %", "empty masks", "cosine")
        cells = [header, *(_cells(found) for found in self.candidates)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rule = tuple("-" * width for width in widths)
        return "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
            for row in (header, rule, *cells[1:])
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands out, a sentence each."""
        fastest = min(found.milliseconds for found in self.candidates)
        notes = [note for found in self.candidates for note in _notes(found, fastest)]
        if self.candidates[0].empty is None:
            notes.insert(0, "No mask shown holds foreground: empty masks were not looked at. Hint: more cases.")
        return tuple(notes)

    def __str__(self) -> str:
        """What was measured, the table, and the notes."""
        stages = " > ".join(f"{stage.name} (Dice {stage.dice:.2f})" for stage in self.stages)
        batch, channels, *spatial = self.shape
        masks = f"{batch} mask{'' if batch == 1 else 's'} of {'×'.join(map(str, spatial))}"
        where = f"{self.threads} threads" if self.device == "cpu" else self.device
        meaning = f"{self.mode}, {channels} channel{'' if channels == 1 else 's'}"
        return "\n".join(
            [
                f"{masks}, {meaning}, {100 * self.foreground:.1f} % foreground; {where}",
                f"stages: {stages}",
                "",
                self.table(),
                "",
                "ms, MiB: forward and backward. cosine: of the gradient with itself after a weight moved by 0.1.",
                *(f"- {note}" for note in self.notes),
            ]
        )


def _row(found: LossFindings, terms: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"loss": found.name, "milliseconds": found.milliseconds, "mebibytes": found.mebibytes}
    for name, stage in found.stages.items():
        row |= {f"value_{name}": stage.value, f"foreground_{name}": stage.foreground}
        row |= {f"weight_cosine_{name}": stage.weight_cosine}
        row |= {f"share_{term}_{name}": stage.shares.get(term) for term in terms}
    empty = found.empty
    return row | {
        "empty_verdict": empty and empty.verdict,
        "empty_value_much": empty and empty.value_much,
        "empty_value_little": empty and empty.value_little,
        "empty_gradient_much": empty and empty.gradient_much,
        "empty_gradient_little": empty and empty.gradient_little,
    }


def _cells(found: LossFindings) -> tuple[str, ...]:
    stages = found.stages.values()
    shares = (f"{term} " + " > ".join(f"{100 * stage.shares[term]:.0f}" for stage in stages) for term in found.terms)
    cosine = found.weight_cosine
    return (
        found.name,
        f"{found.milliseconds:.1f}",
        f"{found.mebibytes:.1f}",
        " > ".join(f"{stage.value:.3g}" for stage in stages),
        ", ".join(shares) if len(found.terms) > 1 else "one term",
        " > ".join(f"{100 * stage.foreground:.0f}" for stage in stages),
        "not looked at" if found.empty is None else found.empty.verdict,
        "" if cosine is None else f"{cosine:.3f}",
    )


def _notes(found: LossFindings, fastest: float) -> list[str]:
    notes = []
    if found.empty is not None and found.empty.verdict != "ok":
        notes.append(f"{found.name}: {_EMPTY_NOTES[found.empty.verdict]}")
    if found.milliseconds > _SLOW * fastest:
        notes.append(f"{found.name}: takes {found.milliseconds / fastest:.0f} times as long as the fastest.")
    for term in found.terms:
        largest = max(stage.shares[term] for stage in found.stages.values())
        if len(found.terms) > 1 and largest < _SMALL_SHARE:
            notes.append(
                f"{found.name}: {term} has at most {100 * largest:.1f} % of the gradient; its weight hardly steers."
            )
    cosine = found.weight_cosine
    if cosine is not None and cosine > _SAME_DIRECTION:
        notes.append(
            f"{found.name}: a weight that moves by 0.1 hardly turns the gradient (cosine {cosine:.3f}); "
            "searching these weights will change little."
        )
    return notes


_EMPTY_NOTES = {
    "no gradient": "no gradient where a mask is empty, so that false alarms there are not unlearned. "
    "Hint: add a pixel loss such as bce, or pool over the batch (batch: true).",
    "spike": "the gradient jumps where a mask is empty and next to nothing is predicted. Hint: larger smoothing.",
    "not finite": "NaN or infinite where a mask is empty. Hint: larger smoothing.",
}
