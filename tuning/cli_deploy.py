"""The commands `segtune export`, `segtune convert` and `segtune predict`. Heavy imports stand inside the commands."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tuning.cli_options import Debug, Moved

_SOME_FAILED = 1


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="study directory, such as studies/brain")],
    folder: Annotated[Path, typer.Option("--to", metavar="OUT", help="folder to make")],
    trial: Annotated[str, typer.Option(metavar="N|best", help="number of a trial, or the one with the best Dice")] = (
        "best"
    ),
    finalist: Annotated[bool, typer.Option("--finalist", help="the finalist that validation likes best")] = False,  # noqa: FBT002
    all_finalists: Annotated[bool, typer.Option("--all-finalists", help="a bundle each, in OUT")] = False,  # noqa: FBT002
    ensemble: Annotated[  # noqa: FBT002
        bool, typer.Option("--ensemble", help="seeds of the best finalist, or trials of the search, as one network")
    ] = False,
    average: Annotated[str, typer.Option(help="which weights: best, last, ema, swa or soup")] = "best",
    threshold: Annotated[str, typer.Option(help="cut masks at one half, or where validation was best: tuned")] = "half",
    tta: Annotated[bool, typer.Option("--tta", help="average probabilities over mirrored images")] = False,  # noqa: FBT002
    formats: Annotated[
        str | None,
        typer.Option(
            "--format", help="of safetensors, onnx, pt2, with commas; by default the first two if they can be"
        ),
    ] = None,
    settings: Moved = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be exported; runs no code")] = False,  # noqa: FBT002
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Write a trial's model as a bundle, checked in a fresh process."""
    del debug
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.drift import foreign_code  # noqa: PLC0415
    from tuning.export import export_ensemble, export_finalist, export_finalists, export_trial  # noqa: PLC0415
    from tuning.moving import move  # noqa: PLC0415
    from tuning.record import StudyDirectory  # noqa: PLC0415
    from tuning.recorded import recorded_settings  # noqa: PLC0415

    named = [
        name
        for name, is_given in (
            (f"--trial {trial}", trial != "best"),
            ("--finalist", finalist),
            ("--all-finalists", all_finalists),
            ("--ensemble", ensemble),
        )
        if is_given
    ]
    if len(named) > 1:
        raise typer.BadParameter(f"found {' and '.join(named)}; say one of them.")
    if average != "best" and (finalist or all_finalists or ensemble):
        raise typer.BadParameter(f"{named[0]} hands over best checkpoints; found --average {average}.")
    number = _trial_number(trial)
    if dry_run:
        several = finalist or all_finalists or ensemble
        _dry_run(directory, folder, several=several, number=number, every=all_finalists, ensemble=ensemble)
        return
    make_working_directory_importable()
    move(directory, settings)
    if code := foreign_code(recorded_settings(StudyDirectory(directory))):
        typer.echo(f"runs {', '.join(code)}, which {directory} names", err=True)
    form: Any = {"formats": _formats(formats), "threshold": threshold, "tta": tta}
    if all_finalists:
        exports = export_finalists(directory, folder, **form)
    elif ensemble:
        exports = iter([export_ensemble(directory, folder, **form)])
    elif finalist:
        exports = iter([export_finalist(directory, folder, **form)])
    else:
        exports = iter([export_trial(directory, folder, number, average=average, **form)])
    for done in exports:
        for line in done.lines():
            typer.echo(line)


def _dry_run(directory: Path, folder: Path, *, several: bool, number: int | None, every: bool, ensemble: bool) -> None:
    from tuning.export.dry_run import describe_finalists, describe_trial  # noqa: PLC0415

    if several:
        lines = describe_finalists(directory, every=every, ensemble=ensemble)
    else:
        lines = describe_trial(directory, number)
    for line in [*lines, f"to        {folder}{', which exists already' if folder.exists() else ''}"]:
        typer.echo(line)


def _trial_number(text: str) -> int | None:
    if text == "best":
        return None
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"--trial: found {text!r}; expected a number, or best.") from None


def _formats(text: str | None) -> tuple[str, ...]:
    """Those that were asked for; else safetensors, and ONNX where its extra is installed."""
    from components.deployment.onnx_file import require_exporter  # noqa: PLC0415
    from components.errors import MissingExtraError  # noqa: PLC0415

    if text is not None:
        return tuple(text.split(","))
    try:
        require_exporter()
    except MissingExtraError as error:
        typer.echo(f"without {error}", err=True)
        return ("safetensors",)
    return ("safetensors", "onnx")


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="folder that segtune export made")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="image files, or folders of them")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="for the masks")],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="write them too, as .npy")] = False,  # noqa: FBT002
    batch: Annotated[int, typer.Option(min=1, help="windows, or images of one size, at once")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="of the network; by default one a core")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace masks that are there already")] = False,  # noqa: FBT002
    tta: Annotated[
        bool | None,
        typer.Option("--tta/--no-tta", help="average over mirrored images; by default as exported", show_default=False),
    ] = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Write the masks of images with an exported model; exit code 1 when one was not done."""
    del debug
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from components.deployment import load  # noqa: PLC0415
    from components.deployment.image_files import check_outputs, find_cases, predict_files  # noqa: PLC0415
    from components.deployment.runtime import BadImageError  # noqa: PLC0415

    predictor = load(bundle, threads=threads, batch=batch, tta=tta)
    try:
        found = find_cases(images, int(predictor.about["input"].get("files", 1)))
        check_outputs(found, out, probabilities=probabilities, overwrite=overwrite)
        total = len(found)
    except BadImageError as error:
        raise typer.BadParameter(str(error)) from error
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("predict", total=total)
        wrong = predict_files(
            predictor,
            images,
            out,
            probabilities=probabilities,
            overwrite=overwrite,
            step=lambda done, _: bar.update(task, completed=done),
        )
    typer.echo(f"{total - len(wrong)} of {total} masks written to {out}")
    for file, why in wrong.items():
        typer.echo(f"not done: {file}: {why}", err=True)
    raise typer.Exit(_SOME_FAILED if wrong else 0)


class Tool(StrEnum):
    """Whose form a bundle is written in."""

    MLFLOW = "mlflow"
    TRITON = "triton"
    MONAI = "monai"


def convert(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="folder that segtune export made")],
    tool: Annotated[Tool, typer.Option("--for", help="whose form")],
    folder: Annotated[Path, typer.Option("--to", metavar="OUT", help="folder to make")],
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Write a bundle as an MLflow model, a Triton model repository, or a MONAI bundle."""
    del debug
    from components.deployment.adapters import ADAPTERS  # noqa: PLC0415

    ADAPTERS[tool](bundle, folder)
    typer.echo(f"written   {folder}")
