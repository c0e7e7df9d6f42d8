"""The register of procedural tasks, their rows, and the source that a recipe names.

In: a task's name, parameters, a seed. Out: rows: id, prompt, answer, text, verifier, spans, meta.
Shown by: `python -m synth.procedural mano 3`.
Limit: rows are Python dicts: on one core 3,600 (depo) to 75,000 (sums) a second.

Row i depends on the seed and i alone, so any split of a source gives the same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gristmill.errors import RecipeError, explain, nearest
from gristmill.ids import canonical_json
from gristmill.values import check_values
from synth.procedural import brevo, capo, depo, lano, mano, sums, worded
from synth.procedural.sample import Draws, Parameters, Sample

SPANS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "prompt", "answer", "text", "verifier")),
        ("spans", SPANS),
        ("meta", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its parameters, and what draws a sample."""

    about: str
    parameters: type[Parameters]
    sample: Callable[[Draws, Any], Sample]


TASKS = {
    "depo": Task("k steps along a cycle of shuffled edges", depo.Depo, depo.sample),
    "brevo": Task("all that a vertex of a DAG needs, in order", brevo.Brevo, brevo.sample),
    "capo": Task("biographies of invented people", capo.Capo, capo.sample),
    "mano": Task("prefix arithmetic modulo 23", mano.Mano, mano.sample),
    "lano": Task("sentences of a layered grammar", lano.Lano, lano.sample),
    "sums": Task("worded arithmetic", sums.Sums, sums.sample),
    "worded_mano": Task("Mano in words", worded.WordedMano, worded.sample_mano),
    "worded_depo": Task("Depo in words", worded.WordedDepo, worded.sample_depo),
    "worded_brevo": Task("Brevo in words", worded.WordedBrevo, worded.sample_brevo),
}


def task(name: str) -> Task:
    """The task of a name; RecipeError with the nearest name otherwise."""
    if name not in TASKS:
        raise RecipeError(f"task is {name!r}{nearest(name, TASKS)}")
    return TASKS[name]


def parameters_of(name: str, given: dict[str, Any]) -> Parameters:
    """Checked parameters of a task; RecipeError with the nearest parameter otherwise."""
    cls = task(name).parameters
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        raise RecipeError(f"task {name!r}: {explain(error, cls)}") from None
    except RecipeError as error:
        raise RecipeError(f"task {name!r}: {error}") from None


def generate(name: str, seed: int, number: int = 0, **parameters: Any) -> Sample:
    """The sample of a row number of a task."""
    return task(name).sample(Draws(seed, name, number), parameters_of(name, parameters))


def rows(
    name: str, count: int, seed: int, start: int = 0, stop: int | None = None, **parameters: Any
) -> Iterator[dict[str, Any]]:
    """Rows start … stop - 1 of a task's `count` rows, as SCHEMA has them."""
    given = parameters_of(name, parameters)
    most = given.most()
    if most is not None and count > most:
        raise RecipeError(
            f"count is {count}; {name!r} has {most} rows with these parameters (people x exposures)"
        )
    sample = task(name).sample
    born = hashlib.sha256(canonical_json(["row 1", name, given.model_dump(), seed]).encode())
    for number in range(start, count if stop is None else min(stop, count)):
        one = sample(Draws(seed, name, number), given)
        name_of_row = born.copy()
        name_of_row.update(b"\n%d" % number)
        yield {
            "id": name_of_row.hexdigest()[:32],
            "prompt": one.prompt,
            "answer": one.answer,
            "text": one.text,
            "verifier": one.verifier,
            "spans": [{"start": a, "end": b} for a, b in one.spans],
            "meta": json.dumps(one.meta, separators=(",", ":")),
        }


class ProceduralSource(BaseModel):
    """`from: {procedural: {task: mano, count: 1000, parameters: {length: 13}}}`.

    seed: the recipe's, unless one is given here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    count: int = Field(ge=1, le=10**12)
    seed: int | None = Field(default=None, ge=0)
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given

    @model_validator(mode="after")
    def _checked(self) -> ProceduralSource:
        next(self.rows(0, 1))
        return self

    @property
    def schema(self) -> pa.Schema:
        """The columns of its rows."""
        return SCHEMA

    def config(self) -> dict[str, Any]:
        """What enters a fingerprint: every parameter, those left at their defaults too."""
        given = parameters_of(self.task, self.parameters).model_dump(mode="json")
        return {**self.model_dump(mode="json"), "parameters": given}

    def rows(
        self, first: int = 0, count: int | None = None, seed: int = 0
    ) -> Iterator[dict[str, Any]]:
        """`count` rows from number `first` on, at most to the end; `seed` is the recipe's."""
        own = seed if self.seed is None else self.seed
        stop = None if count is None else first + count
        return rows(self.task, self.count, own, first, stop, **self.parameters)


def parse_source(given: Any) -> ProceduralSource:
    """What a recipe writes under `procedural:`; RecipeError with what is wrong otherwise."""
    if not isinstance(given, dict):
        raise RecipeError(f"procedural is {given!r:.80}; write `{{task: mano, count: 1000}}`")
    try:
        return ProceduralSource.model_validate(given)
    except ValidationError as error:
        raise RecipeError(f"procedural: {explain(error, ProceduralSource)}") from None
    except RecipeError as error:
        raise RecipeError(f"procedural: {error}") from None
