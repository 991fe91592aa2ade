"""The training of one fold of a trial; without folds there is one, and it is the whole trial."""

import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from torch import nn

from components.checkpoints import CheckpointManager
from components.data import SegmentationData
from components.data.epochs import EpochBatches
from components.losses import LossManager, ReferenceTerms
from components.losses.combined import GRADIENT_INTERVAL
from components.metrics import DiceScores, threshold_counts
from components.metrics.masks import PackedMasks
from components.training import (
    Stepper,
    TrainingLimits,
    accelerate,
    build_lr_schedule,
    build_optimizer,
    choose_precision,
    compile_network,
    scale_lr,
    seed_everything,
    train_epoch,
)
from components.training.named import named_augmentation, named_step
from components.training.scores import score_columns, threshold_columns
from components.training.single_case import joins_single
from tuning.averages import DICE_OF, TrialAverages, make_soup
from tuning.building import build_loss, build_model, device_of, trial_seed
from tuning.config import StudyConfig
from tuning.objective import FOLD_DICE, OBJECTIVE, dice_of_weights
from tuning.store import TuneStore
from tuning.surface import PREDICTED, BestSurface
from tuning.validation import case_rows, validate

# What a checkpoint holds besides state and predicted masks: best Dice of each fold, averages, scores of the cases.
BESTS, AVERAGES, CASES = "bests", "averages", "cases"
LIMITS = "limits"  # among its metadata, since clocks differ where all else is the same


class FoldTraining:
    """The parts of one training run, built from a trial's settings, and its loop over epochs.

    Args:
        settings: of the trial.
        data: of the fold.
        store: stages checkpoints, and knows those of earlier attempts.
        number: of the fold, from 0.
        trial: number of the trial, for `training.seed: per_trial`.
    """

    def __init__(
        self, settings: StudyConfig, data: SegmentationData, store: TuneStore, *, number: int, trial: int
    ) -> None:
        training, device = settings.training, device_of(settings)
        self._settings, self._training, self._data = settings, training, data
        self._number, self._before = number, number * training.epochs
        self._store = store.between(self._before + 1, self._before + training.epochs)
        self._seed = trial_seed(settings, trial)
        seed_everything(self._seed)
        self._model = accelerate(build_model(settings, data).to(device))
        divisor = settings.model.divisor
        joined = joins_single(self._model, data.train, batch=training.batch, crop=training.crop, divisor=divisor)
        compile_network(self._model, training.compile)
        self._loss = build_loss(settings, data.mode, data.ignore_index)
        self._loss.gradient_interval = GRADIENT_INTERVAL
        self._loss_schedule = LossManager.create_loss_scheduler(
            self._loss, settings.loss.schedule, epochs=training.epochs
        )
        self._loss.to(device)  # with the weights that a schedule may have it learn
        self._optimizer = build_optimizer(
            training.optimizer,
            self._model.parameters(),
            lr=training.lr,
            weight_decay=training.weight_decay,
            momentum=training.momentum,
            arguments=training.optimizer_arguments,
            undecayed=self._loss_schedule.parameters(),
        )
        self._lr_schedule = build_lr_schedule(
            training.lr_schedule,
            self._optimizer,
            epochs=training.epochs,
            warmup=training.warmup,
            arguments=training.lr_schedule_arguments,
        )
        self._precision = choose_precision(training.precision, device)
        self._stepper = Stepper(
            self._optimizer,
            clip_norm=training.clip_norm,
            accumulate=training.accumulate,
            max_bad_steps=training.max_bad_steps,
            precision=self._precision,
            device=device,
        )
        self._batches = EpochBatches(
            data.train,
            size=training.batch,
            seed=self._seed,
            device=device,
            augment=training.augment,
            augmentation=named_augmentation(training, data.train),
            mirror=training.mirror,
            crop=training.crop,
            divisor=divisor,
            foreground=training.foreground,
            steps=training.steps,
            accumulate=training.accumulate,
            join_single=joined,
        )
        self._step = named_step(training.step)
        self.cases: list[dict[str, Any]] = []  # scores of the epoch yielded last, if it is the best
        self._limits = TrainingLimits(training.epochs, training.patience, training.max_minutes)
        self._averages = TrialAverages(settings, data, self._model, self._seed, join_single=joined)
        self._adaptive = settings.checkpoint.strategy == "adaptive"
        self._checkpoints = CheckpointManager(
            model_name=settings.name,
            save_strategy=settings.checkpoint.strategy,
            monitor_metric=FOLD_DICE if settings.data.folds else OBJECTIVE,
            max_checkpoints=settings.keep,
            interval_epochs=settings.checkpoint.interval,
            store=self._store,
            durable=False,  # Ray Tune copies what is staged, and its copy is what counts
            may_hold=False,  # each Dice that a study reports has its weights
            seed=self._seed,
            config=settings.model_dump(mode="json"),
            decisions=self._store.decided,
        )
        self._surface = BestSurface(data, settings.metrics, self._checkpoints, self._store)

    @property
    def ended(self) -> str:
        """Why the fold has ended; empty until then."""
        return self._limits.ended

    def epochs(self, bests: list[float]) -> Iterator[dict[str, Any]]:
        """Train from the last checkpoint on; after each epoch its row, with the checkpoint staged if one was saved.

        Args:
            bests: best Dice of each fold before; this fold's is added, and all come back from a checkpoint.
        """
        epoch = self._resume(bests)
        while not self._limits.ended:
            epoch += 1
            started = time.perf_counter()
            row = {"epoch": self._before + epoch, **self._train(epoch)}
            network, best = self._averages.network, max(bests[self._number :], default=0.0)
            scores, predicted = self._validate(network, row)
            row |= self._averages.dice_of_each(scores.mean, self._dice_of)
            ends = bool(self._limits.ends_after(epoch, scores.mean, time.perf_counter() - started))
            forced = self._forced(row["epoch"], ends=ends)
            if ends and self._makes_soup():
                soup = self._soup(row, max(best, scores.mean))
                if soup is not None:
                    network, forced = soup, "soup"
                    scores, predicted = self._validate(network, row)
            is_best = scores.mean >= best
            self.cases = case_rows(scores, self._data, self._before + epoch) if is_best else []
            self._score(row, epoch, bests)
            self._loss_schedule.step(epoch, row)
            if ends:
                self.cases = self.cases + self._surface.measure(row, scores.mean, predicted, forced=bool(forced))
            row["seconds"] = time.perf_counter() - started
            saved = self._checkpoints.save_checkpoint(
                network,
                self._optimizer,
                self._lr_schedule,
                row["epoch"],
                row,
                loss_schedule=self._loss_schedule,
                scaler=self._stepper.scaler,
                extra={
                    BESTS: list(bests),
                    PREDICTED: predicted.to_tensors(),
                    AVERAGES: self._averages.state(),
                    CASES: self.cases,
                },
                metadata={LIMITS: self._limits.state_dict()},
                cases=scores.by_case(self._data.val.cases) if self._adaptive else None,
                forced=forced,
            )
            if saved is not None:
                self._surface.saved(row["epoch"], predicted)
            yield row

    def _resume(self, bests: list[float]) -> int:
        """Go back to the fold's last checkpoint; returns its epoch within the fold, 0 when there is none."""
        if not self._store.records():
            return 0
        extra: dict[str, Any] = {}
        start = self._store.start
        record = self._checkpoints.load_checkpoint(
            "latest",
            self._averages.model_to_fill(),
            self._optimizer,
            self._lr_schedule,
            scaler=self._stepper.scaler,
            rng=True,
            extra=extra,
            **({} if start else {"loss_schedule": self._loss_schedule}),
        )
        self._averages.load(extra.get(AVERAGES, {}))
        if LIMITS in record.metadata:
            self._limits.load_state_dict(record.metadata[LIMITS], record.epoch - self._before)
        bests[:] = extra[BESTS]
        if start:  # the loss keeps the weights of this trial's own settings
            scale_lr(self._optimizer, self._lr_schedule, start.lr_factor)
            bests[:] = [start.best]
        print(f"going on after epoch {record.epoch} from {record.path}")  # noqa: T201 - into the trial's log
        return record.epoch - self._before

    def _forced(self, trial_epoch: int, *, ends: bool) -> str:
        """Why a checkpoint is saved in any case.

        The strategy `adaptive` saves at a rung, where the trial may be stopped, and at the fold's end; any strategy
        where trials wait for each other, so that they, or others, can go on from there.
        """
        scheduler = self._settings.scheduler
        if ends or not (self._adaptive or scheduler.pauses):
            return "end" if ends and self._adaptive else ""
        return "rung" if trial_epoch in scheduler.rungs(self._settings.budget) else ""

    def _train(self, epoch: int) -> dict[str, Any]:
        """Train an epoch; returns the losses and what they were weighed by."""
        data = self._data
        weights, lr = self._loss.weights, self._optimizer.param_groups[0]["lr"]
        trained = train_epoch(
            self._model,
            self._loss,
            self._optimizer,
            self._batches.of(epoch),
            epoch=epoch,
            precision=self._precision,
            stepper=self._stepper,
            step=self._step,
            reference=ReferenceTerms(data.mode, data.ignore_index),
            after_step=self._averages.after_step,
        )
        self._lr_schedule.step()
        self._averages.after_epoch(epoch)
        return {**trained, **{f"weight_{name}": value for name, value in weights.items()}, "lr": lr}

    def _validate(self, network: nn.Module, row: dict[str, Any]) -> tuple[DiceScores, PackedMasks]:
        """Score a network; its Dice, threshold and losses are written into the row."""
        data = self._data
        reference = ReferenceTerms(data.mode, data.ignore_index)
        thresholds = threshold_counts(data.mode, data.ignore_index)
        scores, predicted = validate(network, data, self._settings, reference=reference, thresholds=thresholds)
        row |= {
            **score_columns(scores, data.foreground, data.scored),
            **({} if thresholds is None else threshold_columns(thresholds, data.foreground, data.scored)),
            **{f"val_reference_{name}": value for name, value in reference.means().items()},
        }
        return scores, predicted

    def _dice_of(self, network: nn.Module) -> float:
        return validate(network, self._data, self._settings)[0].mean

    def _makes_soup(self) -> bool:
        checkpoint = self._settings.checkpoint
        return checkpoint.averaging == "soup" or (checkpoint.averaging == "none" and checkpoint.compare_averages)

    def _soup(self, row: dict[str, Any], best: float) -> nn.Module | None:
        """A soup of the fold's best checkpoints, if it is what the trial wants and gains over the best single one."""
        soup, network = make_soup(
            self._model,
            row[OBJECTIVE],
            self._store.persisted(self._checkpoints.ranked_checkpoints()[: self._settings.keep]),
            dice_of=lambda record: float(dice_of_weights(record.metrics)),
            score=self._dice_of,
            prepare=self._averages.set_statistics,
        )
        gained = len(soup.accepted) > 1 and soup.score > best
        row["soup_size"] = len(soup.accepted) if gained else 1
        if self._settings.checkpoint.compare_averages:
            row[f"{DICE_OF}soup"] = max(soup.score, best)
        return network if gained and self._settings.checkpoint.averaging == "soup" else None

    def _score(self, row: dict[str, Any], epoch: int, bests: list[float]) -> None:
        """Keep the fold's best Dice; with folds, the objective is the mean over the folds so far."""
        dice = row[OBJECTIVE]
        bests[self._number :] = [max([dice, *bests[self._number :]])]
        if self._settings.data.folds:
            row |= {FOLD_DICE: dice, "fold": self._number + 1, "fold_epoch": epoch, OBJECTIVE: fmean(bests)}
