"""Of a field that takes several shapes, the mistake in the one that was meant is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gristmill.errors import explain


class Deep(BaseModel):
    model_config = ConfigDict(extra="forbid")
    r: int = Field(default=8, ge=1)


class Rows(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rows: tuple[str, ...]
    batch: int = 32
    epochs: float = Field(default=1.0, gt=0)
    too_long: Literal["drop", "cut"] = "drop"


class Stage(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    data: str | Rows = "mix"
    deep: Deep | None = None
    several: dict[str, list[Deep]] = {}
    sparse: Literal["zeros"] | Annotated[float, Field(lt=1)] | None = None
    names: str | tuple[str, ...] = ()
    from_: Rows | None = Field(default=None, alias="from")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dta": "x"}, "unknown key 'dta'; did you mean 'data'?"),
        (
            {"data": {"rows": ["a"], "batchsize": 8}},
            "unknown key 'data.batchsize'; did you mean 'batch'?",
        ),
        (
            {"data": {"rows": ["a"], "epochs": 0}},
            "data.epochs is 0: Input should be greater than 0",
        ),
        (
            {"data": {"rows": ["a"], "too_long": "truncate"}},
            "data.too_long is 'truncate': Input should be 'drop' or 'cut'",
        ),
        ({"data": {"batch": 8}}, "key 'data.rows' is missing"),
        ({"data": {"rows": "a"}}, "data.rows is 'a': it takes a list"),
        ({"data": 3}, "data is 3: it takes text or a mapping of rows, batch, epochs, too_long"),
        ({"deep": {"rank": 3}}, "unknown key 'deep.rank'; known: r"),
        ({"deep": 3}, "deep is 3: it takes a mapping"),
        ({"several": {"a": [{"r": 2}, {"x": 2}]}}, "unknown key 'several.a.1.x'; known: r"),
        ({"sparse": 2.0}, "sparse is 2.0: Input should be less than 1"),
        ({"sparse": "none"}, "sparse is 'none': Input should be 'zeros'"),
        ({"sparse": [1]}, "sparse is [1]: it takes text or a number"),
        ({"names": ["a", 3]}, "names.1 is 3: Input should be a valid string"),
        ({"from": {"rows": ["a"], "epoch": 2}}, "unknown key 'from.epoch'; did you mean 'epochs'?"),
    ],
)
def test_a_mistake_is_told_where_it_is(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Stage.model_validate(given)
    assert explain(caught.value, Stage) == says
