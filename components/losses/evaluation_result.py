"""What a comparison of losses found, as numbers, as a table and in plain sentences."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

from components.losses.evaluation_notes import find_notes
from components.losses.findings import LossFindings, Stage
from components.losses.inputs import Mode

_LEGEND = (
    "ms, MiB: forward and backward, and the most memory held meanwhile. "
    "turn: of the gradient, at most, when a weight moves by 0.1."
)


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
        """The table, aligned and in Markdown; numbers of the stages stand in their order, with `>` between."""
        compound = any(len(found.terms) > 1 for found in self.candidates)
        cells = [_cells(found, compound=compound) for found in self.candidates]
        header = tuple(cells[0])
        texts = [header, *(tuple(row.values()) for row in cells)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        rule = tuple("-" * width for width in widths)
        return "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
            for row in (header, rule, *texts[1:])
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands out, a sentence each."""
        return tuple(find_notes(self.candidates))

    def __str__(self) -> str:
        """What was measured, the table, and the notes."""
        stages = " > ".join(f"{stage.name} (Dice {stage.dice:.2f})" for stage in self.stages)
        batch, channels, *spatial = self.shape
        masks = f"{batch} mask{'' if batch == 1 else 's'} of {'×'.join(map(str, spatial))}"
        where = f"{self.threads} thread{'s' if self.threads > 1 else ''}" if self.device == "cpu" else self.device
        meaning = f"{self.mode}, {channels} channel{'' if channels == 1 else 's'}"
        return "\n".join(
            [
                f"{masks}, {meaning}, {100 * self.foreground:.1f} % foreground; {where}",
                f"stages: {stages}",
                "",
                self.table(),
                "",
                _LEGEND,
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


def _cells(found: LossFindings, *, compound: bool) -> dict[str, str]:
    """Text by column; `compound` for the columns that only losses of several terms fill."""
    stages = found.stages.values()
    cells = {
        "loss": found.name,
        "ms": f"{found.milliseconds:.1f}",
        "MiB": f"{found.mebibytes:.1f}",
        "value": " > ".join(f"{stage.value:.3g}" for stage in stages),
    }
    if compound:
        cells["gradient by term, %"] = _shares(found)
    cells["on foreground, %"] = " > ".join(f"{100 * stage.foreground:.0f}" for stage in stages)
    cells["empty masks"] = "not looked at" if found.empty is None else found.empty.verdict
    if compound:
        cells["turn, °"] = "" if found.turn is None else f"{found.turn:.0f}"
    return cells


def _shares(found: LossFindings) -> str:
    if len(found.terms) == 1:
        return found.terms[0]
    stages = found.stages.values()
    return ", ".join(
        f"{term} " + " > ".join(f"{100 * stage.shares[term]:.0f}" for stage in stages) for term in found.terms
    )
