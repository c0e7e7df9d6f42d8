"""mixture_swarm: the design of proxy runs: mixtures to train small models on, to fit a law with.

In: sources and their tokens. Out: one row a run, a column of shares for each source; `.sources`,
what each source is, and the part of it that a proxy may use.
Shown by: `- {name: swarm, use: mixture_swarm, sources: {web: tokens/web, maths: tokens/maths}}`.
Limit: it draws the runs; training them is another step's work, or any trainer's.

RegMix's sampler (arXiv 2407.01492, appendix; its code): Dirichlet around prior ** 0.5, 15 strengths
from 0.1 to 5, shares below 2e-4 are 0, mixtures beyond the epoch cap are drawn again, no two alike.
A proxy sees the target's repetition if it draws from proxy_budget / budget of every source (arXiv
2606.07597): the same mixture then makes as many passes over each source as the target will.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from mixtures.blend.schedule import Position
from mixtures.laws.loglinear import ADVISED
from mixtures.weights.heuristics import F64, MAX_EPOCHS, source_sizes, temperature
from mixtures.weights.runs import RESERVED
from mixtures.weights.sizes import Source, check_sources, source_refs, source_tokens, tokens_of
from mixtures.weights.solver import epoch_caps, project

SMALLEST = 2e-4
STRENGTHS = np.geomspace(0.1, 5.0, 15)
_ALIKE = 3  # decimals to which two mixtures are the same: the precision of RegMix's table
_TRIES = 60  # rounds of as many draws as runs, before draws are brought under the cap instead


@dataclass(frozen=True, slots=True)
class Design:
    """Runs: shares float64[runs, sources]; the control each is, or None; strength, or nan."""

    shares: F64
    control: list[str | None]
    strength: F64
    caps: F64
    moved: int  # draws that had to be brought under the caps


class MixtureSwarm(Step):
    """Draw the mixtures of a swarm of proxy runs."""

    VERSION: ClassVar[int] = 2

    sources: dict[str, Source]
    runs: int | None = None  # null: 3 (sources + 1)
    budget: Position | None = None  # tokens of the run that is planned; null: one pass over all
    proxy_budget: Position | None = None  # tokens of a proxy run; null: as many as the planned run
    max_epochs: float = MAX_EPOCHS
    tau: float = 0.5
    seed: int = 0

    def inputs(self) -> list[str]:
        return source_refs(self.sources)

    def packages(self) -> list[str]:
        return ["numpy"]  # whose Dirichlet draws they are

    def check(self) -> None:
        check_sources(self.sources)
        _check_names(list(self.sources))
        budget, proxy = self._budgets()
        if budget and proxy and proxy > budget:
            raise RecipeError(
                f"proxy_budget {proxy:,.0f} is above budget {budget:,.0f}: a proxy run is the "
                "smaller one"
            )

    def _budgets(self) -> tuple[float | None, float | None]:
        return tokens_of(self.budget, "budget"), tokens_of(self.proxy_budget, "proxy_budget")

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("rows", "one mixture a row: a run to train"),
            ".sources": Output("rows", "each source: tokens, natural share, cap, part for proxies"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        sizes = source_tokens(self.sources, run)
        names, tokens = list(sizes), list(sizes.values())
        _check_names(names)
        runs = ADVISED * (len(names) + 1) if self.runs is None else self.runs
        if runs < len(names) + 1:
            raise RecipeError(
                f"runs is {runs}: a law of {len(names)} sources needs at least {len(names) + 1} "
                f"runs; {ADVISED * (len(names) + 1)} are advised"
            )
        if runs < ADVISED * (len(names) + 1):
            run.note(
                f"{runs} runs for {len(names)} sources: {ADVISED * (len(names) + 1)} are advised"
            )
        given, proxy = self._budgets()
        budget = given or sum(tokens)
        part = (proxy or budget) / budget
        args = {
            "names": names,
            "tokens": tokens,
            "runs": runs,
            "budget": budget,
            "part": part,
            "step": self,
        }
        if part > 1:
            raise RecipeError(
                f"proxy_budget {proxy:,.0f} is above the {budget:,.0f} tokens of the "
                "sources: give `budget`, the tokens of the planned run"
            )
        yield Phase("draw", [Task("all", _draw, args)], unit="runs")
        record = run.records("draw")[0].value
        if record["moved"]:
            run.note(
                f"{record['moved']} of {runs} mixtures could not be drawn under the cap of "
                f"{self.max_epochs:g} epochs and were brought under it; a higher max_epochs, a "
                "smaller budget or a higher tau leaves more room"
            )
        run.facts |= {"runs": runs, "budget": budget, "subsample": part}


def _check_names(names: list[str]) -> None:
    for name in names:
        if name in RESERVED:
            raise RecipeError(f"source {name!r}: a column of the swarm has that name; rename it")


def design(
    tokens: ArrayLike,
    runs: int,
    budget: float | None = None,
    max_epochs: float = MAX_EPOCHS,
    tau: float = 0.5,
    seed: int = 0,
) -> Design:
    """Shares of `runs` runs: the natural and the uniform control first, then draws."""
    sizes = source_sizes(tokens)
    if len(sizes) < 2:
        raise RecipeError("one source: there is nothing to mix; name two or more")
    caps = epoch_caps(sizes, budget or float(sizes.sum()), max_epochs)
    natural, prior = sizes / sizes.sum(), temperature(sizes, tau)
    rng = np.random.Generator(np.random.Philox(derive_seed(seed, "mixture_swarm")))
    found: list[F64] = [natural]
    control: list[str | None] = ["natural"]
    if _key(natural) != _key(np.full(len(sizes), 1 / len(sizes))):
        found.append(np.full(len(sizes), 1 / len(sizes)))
        control.append("uniform")
    strength = [np.nan] * len(found)
    known = {_key(shares) for shares in found}
    moved, tries = 0, _TRIES * max(runs, len(STRENGTHS))
    for number in range(tries):
        if len(found) >= runs:
            break
        power = float(STRENGTHS[number % len(STRENGTHS)])
        shares = _some(rng.dirichlet(prior * power))
        above = bool((shares > caps * (1 + 1e-12)).any())
        if above:
            if number < tries // 2:
                continue
            shares = project(np.maximum(shares, 1e-9), caps)
        if _key(shares) in known:
            continue
        moved += above
        known.add(_key(shares))
        found.append(shares)
        control.append(None)
        strength.append(power)
    if len(found) < runs:
        raise RecipeError(
            f"only {len(found)} of {runs} different mixtures could be drawn from {len(sizes)} "
            f"sources at max_epochs {max_epochs:g}: ask for fewer runs or allow more epochs"
        )
    return Design(np.array(found[:runs]), control[:runs], np.array(strength[:runs]), caps, moved)


def _some(shares: F64) -> F64:
    """Without shares too small to be seen in a run."""
    shares = np.where(shares < SMALLEST, 0.0, shares)
    return np.asarray(shares / shares.sum())


def _key(shares: F64) -> bytes:
    return bytes((shares.round(_ALIKE) + 0.0).tobytes())


def swarm_schema(names: list[str]) -> pa.Schema:
    """Columns of the main output."""
    own = [("run", pa.string()), ("control", pa.string()), ("strength", pa.float64())]
    return pa.schema([*own, *((name, pa.float64()) for name in names)])


SOURCES = pa.schema(
    [
        ("source", pa.string()),
        ("tokens", pa.int64()),
        ("natural", pa.float64()),
        ("cap", pa.float64()),  # largest share at max_epochs
        ("subsample", pa.float64()),  # part of the source that proxies draw from
        ("subsample_tokens", pa.int64()),
    ]
)


def _draw(
    ctx: TaskContext,
    names: list[str],
    tokens: list[float],
    runs: int,
    budget: float,
    part: float,
    step: MixtureSwarm,
) -> dict[str, Any]:
    made = design(tokens, runs, budget, step.max_epochs, step.tau, step.seed)
    digits = len(str(runs))
    rows = {
        "run": [f"{number:0{digits}d}" for number in range(1, runs + 1)],
        "control": made.control,
        "strength": pa.array(made.strength, from_pandas=True),
        **{name: made.shares[:, place] for place, name in enumerate(names)},
    }
    schema = swarm_schema(names)
    ctx.writer("", schema).write(pa.table(rows, schema=schema))
    sizes = np.asarray(tokens)
    facts = {
        "source": names,
        "tokens": sizes.astype(np.int64),
        "natural": sizes / sizes.sum(),
        "cap": made.caps,
        "subsample": np.full(len(names), part),
        "subsample_tokens": np.round(sizes * part).astype(np.int64),
    }
    ctx.writer(".sources", SOURCES).write(pa.table(facts, schema=SOURCES))
    ctx.advance(1)
    return {"moved": made.moved}
