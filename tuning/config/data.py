"""What a study file may say of its data."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from tuning.config.section import Section

_PathText = Annotated[str, Field(min_length=1)]


class GroupConfig(Section):
    """Which cases belong together (a patient, a specimen, a field); a group stays in one split."""

    pattern: str | None = Field(None, description="regular expression on the stem; its first group names the group")
    csv: _PathText | None = Field(None, description="table with a row a case, relative to `data.root`")
    column: str | None = Field(None, description="column of that table that holds the group")
    stem: str = Field("stem", description="column of that table that holds the stem")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.pattern is None) == (self.csv is None):
            raise ValueError(
                "needs either pattern or csv. Hint: {pattern: '(.+)_\\d+'} or {csv: t.csv, column: patient}"
            )
        if (self.csv is None) != (self.column is None):
            raise ValueError("csv and column go together. Hint: {csv: table.csv, column: patient}")
        return self


class DataConfig(Section):
    """Where images and masks come from: a folder (`root`), or a function of your own (`build`)."""

    root: _PathText | None = Field(
        None, description="folder that holds images and masks of the same stem; relative to the study file"
    )
    images: _PathText = Field("images", description="folder of the images, relative to `root`")
    masks: _PathText = Field("masks", description="folder of the masks, relative to `root`")
    classes: list[str] | dict[str, int] | None = Field(
        None,
        description="names in the order of the mask's values (`[background, vein, artery]`, or `[nucleus]` for a "
        "binary one), or each name's value (`{background: 0, vein: 128, artery: 255}`); by default read from the masks",
    )
    ignore: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="mask value of pixels without a label: no gradient, not counted, such as 255"
    )
    threshold: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="of masks in black and white whose edges are soft (anti-aliased, or JPEG), or of instance numbers: "
        "values above it are foreground, such as 127.5, or 0.5",
    )
    normalize: Literal["zscore", "zscore_nonzero", "minmax", "percentile", "none"] = Field(
        "zscore",
        description="of each image and channel: mean 0 and deviation 1, over all pixels or those that are not 0 (which "
        "stay 0); range to 0-1; the 1st to 99th percentile to "
        "0-1, clipped; or `none`, where integers are divided by their type's largest value",
    )
    split: _PathText | None = Field(
        None, description="JSON file with the stems of train, val and test, relative to `root`; default split.json"
    )
    ratio: Annotated[tuple[float, float, float], Strict(strict=False)] | None = Field(
        None, description="shares of train, val and test where there is no split file; default [0.7, 0.15, 0.15]"
    )
    split_seed: Annotated[int, Field(ge=0)] = Field(0, description="of the split by ratio, and of the folds")
    group: GroupConfig | None = Field(None, description="cases that belong together; by default each stands alone")
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None, description="cross-validation: train and val are pooled and dealt to so many folds"
    )
    build: str | None = Field(
        None, description="in place of a folder: dotted path `package.module:function` that returns SegmentationData"
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of that function; `${NAME}` is taken from the environment"
    )

    @field_validator("ratio")
    @classmethod
    def _check_ratio(cls, ratio: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if ratio is not None and (min(ratio) < 0 or min(ratio[:2]) == 0):
            raise ValueError(f"found {list(ratio)}. Hint: train and val must be above 0, test at least 0")
        return ratio

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.build is not None:
            given = [
                name
                for name, field in type(self).model_fields.items()
                if name not in ("build", "arguments") and getattr(self, name) != field.default
            ]
            if given:
                raise ValueError(f"{', '.join(given)} belong to a folder, but build is set too. Hint: keep one")
        elif self.arguments:
            raise ValueError("arguments are those of build, which is not set. Hint: remove them, or set build")
        if self.split is not None and self.ratio is not None:
            raise ValueError("split and ratio contradict each other. Hint: keep one")
        return self

    @property
    def is_named(self) -> bool:
        """Whether it names any data."""
        return self.root is not None or self.build is not None
