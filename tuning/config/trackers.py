"""What a study file may say of other places that its numbers go to."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from components.references import refuse_password
from tuning.config.section import Section


class TrackersConfig(Section):
    """Where else the numbers go, a run a trial; a trial that goes on does so in its run."""

    tensorboard: bool = Field(
        default=False, description="write event files into the study; look at them with tensorboard --logdir DIR"
    )
    mlflow: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="tracking URI, such as `sqlite:///mlflow.db` or `http://me:${PASSWORD}@host:5000`, where "
        "PASSWORD is taken from the environment; extra `mlflow`",
    )
    wandb: Literal["offline", "online"] | None = Field(
        None, description="Weights & Biases; offline runs lie in the study, for `wandb sync`; extra `wandb`"
    )
    project: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="project of W&B, experiment of MLflow; default the study's name"
    )

    @field_validator("mlflow")
    @classmethod
    def _check_uri(cls, uri: str | None) -> str | None:
        return uri if uri is None else refuse_password(uri)
