"""What a study file may say of a script that is run as it is, a process a trial."""

from typing import Annotated, Any

from pydantic import Field

from tuning.config.section import Section


class ScriptConfig(Section):
    """A training script of one's own in place of data, network and loss; it asks `tuning.session` for its settings."""

    path: Annotated[str, Field(min_length=1)] = Field(description="the script; relative to the study file")
    arguments: list[str] = Field(default_factory=list, description="of its command line")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="settings for `session.params`, the same in all trials; those searched are named `script.params.…`",
    )
