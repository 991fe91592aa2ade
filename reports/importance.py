"""Which settings decide whether a trial is among the best."""

import pandas as pd

MIN_FINISHED = 8  # of fewer trials, the best fifth is one or two
_TOP = 0.2  # the best fifth: Optuna's default of a tenth is one trial in ten
_FEWEST_KINDS = 2
MOST = 1000  # finished trials looked at: the estimate needs no more, and its time grows with them


def setting_importances(settings: pd.DataFrame, dice: "pd.Series[float]") -> "pd.Series[float]":
    """PED-ANOVA: by how much each setting's values differ between the best fifth of trials and all.

    Args:
        settings: a row a finished trial, a column a setting; the last 1000 count. Stopped trials do not belong here,
            since their Dice is that of a shorter training.
        dice: of the same rows.

    Returns:
        Shares that sum to 1, by setting; empty with fewer than 8 finished trials, or where nothing varied.

    Source: S. Watanabe, A. Bansal, F. Hutter, PED-ANOVA (IJCAI 2023), as Optuna implements it.

    Example:
        >>> setting_importances(settings_table(finished), finished["best_dice"])  # doctest: +SKIP
    """
    known = dice.notna()
    settings, dice = settings[known].iloc[-MOST:], dice[known].iloc[-MOST:]
    complete = settings.dropna(axis=1)
    varied = complete.loc[:, complete.nunique() >= _FEWEST_KINDS]
    if len(varied) < MIN_FINISHED or varied.empty or dice.nunique() < _FEWEST_KINDS:
        return pd.Series(dtype=float)
    return _evaluate(varied, dice)


def _evaluate(settings: pd.DataFrame, dice: "pd.Series[float]") -> "pd.Series[float]":
    import optuna  # noqa: PLC0415 - a second that tables need not wait
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution  # noqa: PLC0415
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, BaseDistribution] = {}
    for name in settings:
        column = settings[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            low, high = float(column.min()), float(column.max())
            distributions[str(name)] = FloatDistribution(low, high, log=low > 0 and high / low > 50)  # noqa: PLR2004 - spans decades
        else:
            settings = settings.assign(**{str(name): column.map(str)})
            distributions[str(name)] = CategoricalDistribution(sorted(set(settings[name])))
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(params=params, distributions=distributions, value=value)
            for params, value in zip(
                ({str(name): value for name, value in row.items()} for row in settings.to_dict("records")),
                dice.tolist(),
                strict=True,
            )
        ]
    )
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=_TOP))
    shares = pd.Series({name: max(value, 0.0) for name, value in found.items()}, dtype=float)
    return shares / shares.sum() if shares.sum() > 0 else pd.Series(dtype=float)
