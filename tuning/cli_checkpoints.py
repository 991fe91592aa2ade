"""The commands `segtune checkpoints`. Heavy imports stand inside the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tuning.cli_options import Debug, TableFormat

if TYPE_CHECKING:
    from components.checkpoints import Change, Inspected

checkpoints = typer.Typer(help="Look after checkpoints: of a study, a trial, or a training of your own.")

_Where = Annotated[Path, typer.Argument(metavar="DIR", help="study, trial, checkpoint directory, or one checkpoint")]
_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="study, or checkpoint directory")]
_Decisions = Annotated[Path, typer.Argument(metavar="DIR", help="trial (studies/x/trials/0007) or manager's directory")]
_Format = Annotated[TableFormat, typer.Option("--format", help="how the table is printed")]
_DAMAGED = 1


@checkpoints.command("list")
def list_checkpoints(directory: _Where, form: _Format = TableFormat.TABLE, debug: Debug = False) -> None:  # noqa: FBT002
    """List what is there, without reading more than the manifests."""
    del debug
    from reports.checkpoints import checkpoints_text  # noqa: PLC0415

    typer.echo(checkpoints_text(_rows(_inspect(directory, verified=False), directory), form.value))


@checkpoints.command()
def verify(directory: _Where, form: _Format = TableFormat.TABLE, debug: Debug = False) -> None:  # noqa: FBT002
    """Check every file against its hash; exit code 1 when one is damaged. Nothing is changed."""
    del debug
    from reports.checkpoints import checkpoints_text  # noqa: PLC0415

    found = _inspect(directory, verified=True)
    typer.echo(checkpoints_text(_rows(found, directory), form.value))
    damaged = [checkpoint for checkpoint in found if checkpoint.problem]
    typer.echo(f"{len(found)} checkpoints, {len(damaged)} damaged", err=True)
    for checkpoint in damaged:
        typer.echo(f"damaged: {checkpoint.problem}", err=True)
    raise typer.Exit(_DAMAGED if damaged else 0)


@checkpoints.command()
def repair(directory: _Directory, debug: Debug = False) -> None:  # noqa: FBT002
    """Set aside what is damaged, remove what a kill left half done, rebuild the index. Nothing valid is touched."""
    del debug
    from components.checkpoints import repair_checkpoints  # noqa: PLC0415
    from tuning.upkeep import repair_study, study_of  # noqa: PLC0415

    study = study_of(directory)
    _say(repair_checkpoints(directory) if study is None else repair_study(study), directory)


@checkpoints.command()
def prune(
    directory: _Directory,
    keep: Annotated[int | None, typer.Option(min=1, help="best checkpoints that stay, beside the latest")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="also those of each n-th epoch; not for a study")] = None,
    max_gib: Annotated[float | None, typer.Option(min=0, help="of all together; the least good go first")] = None,
    metric: Annotated[str, typer.Option(help="what best means; of a study it is val_dice")] = "val_dice",
    lowest: Annotated[bool, typer.Option("--lowest", help="a lower metric is better")] = False,  # noqa: FBT002
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be removed")] = False,  # noqa: FBT002
    debug: Debug = False,  # noqa: FBT002
) -> None:
    """Remove checkpoints that need not stay; never the best, the latest, a pinned one or one that is being read.

    Of a study only what verifies as a checkpoint of it is removed; exit code 1 when its index names anything else.
    """
    del debug
    from components.checkpoints import KeepPolicy, prune_checkpoints  # noqa: PLC0415
    from tuning.upkeep import GIB, prune_study, refused_lines, study_of  # noqa: PLC0415

    if keep is None and max_gib is None:
        raise typer.BadParameter("give --keep or --max-gib")
    study = study_of(directory)
    if study is None:
        size = None if max_gib is None else max(int(max_gib * GIB), 1)
        policy = KeepPolicy(metric, "min" if lowest else "max", keep, every, size)
        _say(prune_checkpoints(directory, policy, dry_run=dry_run), directory)
    else:
        _say(prune_study(study, keep, max_gib, dry_run=dry_run), directory)
        refused = refused_lines(study)
        for line in refused:
            typer.echo(f"refused: {line}", err=True)
        raise typer.Exit(_DAMAGED if refused else 0)


@checkpoints.command()
def explain(
    directory: _Decisions,
    form: _Format = TableFormat.TABLE,
    debug: Debug = False,  # noqa: FBT002
) -> None:
    """Say of each epoch whether it was saved, why, and what that cost."""
    del debug
    from components.save_decisions import read_decisions  # noqa: PLC0415
    from reports.decisions import explain_text  # noqa: PLC0415

    typer.echo(explain_text(read_decisions(_decisions_of(directory)), form.value))


@checkpoints.command()
def replay(
    directory: _Decisions,
    metric: Annotated[str, typer.Option(help="that was monitored")] = "val_dice",
    lowest: Annotated[bool, typer.Option("--lowest", help="a lower metric is better")] = False,  # noqa: FBT002
    form: _Format = TableFormat.TABLE,
    debug: Debug = False,  # noqa: FBT002
) -> None:
    """Compare what other strategies would have written, cost and kept on the same training."""
    del debug
    from components.checkpoints import Trace, compare_policies, make_save_policy, read_decisions  # noqa: PLC0415
    from reports.replay import replay_text  # noqa: PLC0415

    mode: Literal["min", "max"] = "min" if lowest else "max"
    trace = Trace.from_decisions(read_decisions(_decisions_of(directory)), monitor=metric, mode=mode)
    policies = {
        name: make_save_policy(name, monitor=metric, mode=mode) for name in ("best", "epoch", "interval", "adaptive")
    }
    policies["interval of 5"] = policies.pop("interval")
    typer.echo(replay_text(compare_policies(trace, policies), form.value))


def _decisions_of(directory: Path) -> Path:
    """The log of decisions in a directory; that of a trial is opened where it is the study's own file alone."""
    from tuning.record import file_in  # noqa: PLC0415
    from tuning.upkeep import study_of  # noqa: PLC0415

    path, study = directory.absolute() / "decisions.jsonl", study_of(directory.absolute())
    return path if study is None else file_in(study.root, path)


def _inspect(directory: Path, *, verified: bool) -> "list[Inspected]":
    from components.checkpoints import inspect_checkpoints  # noqa: PLC0415
    from tuning.upkeep import checkpoint_folders  # noqa: PLC0415

    folders = checkpoint_folders(directory)
    return [found for folder in folders for found in inspect_checkpoints(folder, verified=verified)]


def _rows(found: "list[Inspected]", directory: Path) -> list[dict[str, Any]]:
    inside = all(checkpoint.path.is_relative_to(directory) for checkpoint in found)
    return [checkpoint.row(directory if inside else checkpoint.path.parents[2]) for checkpoint in found]


def _say(changes: "list[Change]", directory: Path) -> None:
    for change in changes:
        typer.echo(f"{change.path}: {change.what}")
    freed = sum(change.bytes for change in changes)
    size = f", {freed / 2**20:.1f} MiB" if freed else ""
    typer.echo(f"{directory}: {len(changes)} changes{size}" if changes else f"{directory}: nothing to do", err=True)
