"""Weights of a mixture's sources in closed form: how large a share of the tokens each one gets.

In: tokens of each source (float64[k]), for UniMax the budget too. Out: float64[k], summing to 1.
Shown by: `python -c "from mixtures.weights import controls; print(controls([90, 9, 1], 200))"`.
Limit: shares of tokens, not of documents or rows; quality is nobody's business here.

The four heuristics are the controls of every mixture: no published method beats all of them always
(Aioli, arXiv 2411.05735), so a report shows them beside what was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gristmill.errors import RecipeError, nearest

F64 = NDArray[np.float64]
TAU = 0.5  # RegMix smooths its prior so; mT5 and XLM-R took 0.3
MAX_EPOCHS = 4.0  # Muennighoff et al., arXiv 2305.16264: up to here a repetition is nearly as new
SUM_TOLERANCE = 0.005  # three weights of 0.333 are meant to be thirds
OPTIONS = {
    "natural": (),
    "uniform": (),
    "temperature": ("tau",),
    "unimax": ("max_epochs",),
    "given": ("weights",),
}


def natural(tokens: ArrayLike, names: Sequence[str] | None = None) -> F64:
    """Each source by its size: every token is seen equally often."""
    sizes = source_sizes(tokens, names)
    return np.asarray(sizes / sizes.sum())


def uniform(tokens: ArrayLike, names: Sequence[str] | None = None) -> F64:
    """The same share for each source."""
    sizes = source_sizes(tokens, names)
    return np.full(len(sizes), 1 / len(sizes))


def temperature(tokens: ArrayLike, tau: float = TAU, names: Sequence[str] | None = None) -> F64:
    """Proportional to size ** tau: 1 is natural, 0 is uniform.

    Papers that write p ** (1 / T) mean tau = 1 / T (mT5, arXiv 2010.11934).
    """
    if not math.isfinite(tau) or not 0 <= tau <= 1:
        raise RecipeError(
            f"tau is {tau}: temperature weights are size ** tau with tau from 0 (uniform) to 1 "
            "(natural); for a temperature T write 1 / T"
        )
    sizes = source_sizes(tokens, names)
    raised = (sizes / sizes.max()) ** tau
    return np.asarray(raised / raised.sum())


def unimax(
    tokens: ArrayLike,
    budget: float,
    max_epochs: float = MAX_EPOCHS,
    names: Sequence[str] | None = None,
) -> F64:
    """As uniform as can be with no source repeated more than `max_epochs` times.

    UniMax (Chung et al. 2023, arXiv 2304.09151, algorithm 1): the smallest source first, each takes
    its share of what is left of the budget, or all it has `max_epochs` times. A source that is
    short so leaves its rest to larger ones, and the budget is spent to the last token.
    """
    sizes = source_sizes(tokens, names)
    _check_positive("budget", budget, "the tokens to train on")
    _check_positive("max_epochs", max_epochs, "how often a source may be seen")
    there = float(sizes.sum()) * max_epochs
    if budget > there * (1 + 1e-12):
        raise RecipeError(
            f"budget {budget:,.0f}: at max_epochs {max_epochs:g} the sources' {sizes.sum():,.0f} "
            f"tokens make {there:,.0f}; lower the budget or allow {budget / sizes.sum():.2f} epochs"
        )
    taken = np.zeros(len(sizes))
    left = float(budget)
    for place, source in enumerate(np.argsort(sizes, kind="stable")):
        taken[source] = min(left / (len(sizes) - place), max_epochs * sizes[source])
        left -= taken[source]
    return np.asarray(taken / taken.sum())


def given(weights: Mapping[str, float] | Sequence[float], names: Sequence[str]) -> F64:
    """Weights as a user wrote them, by source or in the order of `names`; parts of 1 or of 100."""
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in names:
                raise RecipeError(f"weights: no source {name!r}{nearest(str(name), names)}")
        if missing := [name for name in names if name not in weights]:
            raise RecipeError(f"weights: none for source {missing[0]!r}; write 0 to leave it out")
        values = [weights[name] for name in names]
    else:
        values = list(weights)
        if len(values) != len(names):
            raise RecipeError(f"{len(values)} weights for {len(names)} sources: give one for each")
    for name, value in zip(names, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise RecipeError(f"weight of {name!r} is {value!r}: give a number, 0 or more")
        if not math.isfinite(value) or value < 0:
            raise RecipeError(f"weight of {name!r} is {value}: weights are finite, 0 or more")
    total = math.fsum(values)
    if not total:
        raise RecipeError("all weights are 0: give at least one source a share")
    if min(abs(total - 1), abs(total / 100 - 1)) > SUM_TOLERANCE:
        mended = ", ".join(f"{n}: {v / total:.4g}" for n, v in zip(names, values, strict=True))
        raise RecipeError(
            f"weights sum to {total:g}: they are parts of 1 (or of 100); in these proportions: "
            f"{{{mended}}}"
        )
    return np.asarray(values, np.float64) / total


def weights_by(
    name: str,
    tokens: ArrayLike,
    budget: float,
    options: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
) -> F64:
    """Weights by the heuristic named, a key of `OPTIONS`, with its options."""
    if name not in OPTIONS:
        raise RecipeError(f"unknown weights {name!r}{nearest(name, OPTIONS)}")
    options = dict(options or {})
    for key in options:
        if key not in OPTIONS[name]:
            known = OPTIONS[name]
            rule = nearest(key, known) if known else f"; {name} takes none"
            raise RecipeError(f"weights {name!r}: no option {key!r}{rule}")
    sizes = source_sizes(tokens, names)
    if name == "given":
        if "weights" not in options:
            raise RecipeError("weights 'given' needs `weights`: a share for each source")
        return given(options["weights"], names or [str(i) for i in range(len(sizes))])
    if name == "unimax":
        return unimax(sizes, budget, **options, names=names)
    if name == "temperature":
        return temperature(sizes, **options, names=names)
    return natural(sizes, names) if name == "natural" else uniform(sizes, names)


def controls(
    tokens: ArrayLike, budget: float, tau: float = TAU, max_epochs: float = MAX_EPOCHS
) -> dict[str, F64]:
    """All heuristics, for a report; UniMax of a budget that is too large is that of the largest."""
    sizes = source_sizes(tokens)
    most = float(sizes.sum()) * max_epochs
    return {
        "natural": natural(sizes),
        "uniform": uniform(sizes),
        "temperature": temperature(sizes, tau),
        "unimax": unimax(sizes, min(budget, most), max_epochs),
    }


def source_sizes(tokens: ArrayLike, names: Sequence[str] | None = None) -> F64:
    """Tokens of each source as float64[k]; RecipeError where one has none or a number is wrong."""
    sizes = np.asarray(tokens, np.float64)
    if sizes.ndim != 1 or not len(sizes):
        raise RecipeError("a mixture needs at least one source")
    for place, size in enumerate(sizes):
        if not math.isfinite(size) or size < 0:
            raise RecipeError(f"source {_named(place, names)} has {size} tokens: not a count")
        if not size:
            raise RecipeError(f"source {_named(place, names)} has no tokens: leave it out")
    return sizes


def _named(place: int, names: Sequence[str] | None) -> str:
    return repr(names[place]) if names else f"number {place}"


def _check_positive(name: str, value: float, what: str) -> None:
    if not math.isfinite(value) or value <= 0:
        raise RecipeError(f"{name} is {value}: {what} must be a number above 0")
