"""The base of everything that a recipe says of training.

In: a mapping of a recipe. Out: a frozen model; unknown keys and odd values are errors.
Shown by: `gristmill plan`. Limit: what needs the data or the model is checked when the stage opens.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from gristmill.values import check_values


class Spec(BaseModel):
    """Settings that a user writes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given
