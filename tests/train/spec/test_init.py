"""Where a model begins, as recipes write it."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from train.spec import Init

HUB = {"hub": "org/name", "revision": "0" * 40}


@pytest.mark.parametrize("given", ["models/base", "./folder", HUB])
def test_a_checkpoint_alone_is_short_for_from(given: Any) -> None:
    assert Init.model_validate(given) == Init.model_validate({"from": given})


@pytest.mark.parametrize("given", [HUB | {"revision": "main"}, {"from": HUB | {"revision": "v1"}}])
def test_a_hub_is_asked_for_a_commit_only(given: Any) -> None:
    with pytest.raises(RecipeError, match=r"org/name: revision is .* 40 hex digits"):
        Init.model_validate(given)


def test_editors_know_every_form() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft7Validator(Init.model_json_schema())
    for given in ("models/base", HUB, {"from": HUB, "optimizer": "carry"}):
        check.validate(given)
    assert not check.is_valid({"hub": "org/name"})
