"""Exact verifiers: of a completion, whether it is right. Rewards of training use the same ones.

In: completion, answer, prompt. Out: a float in [0, 1]. Shown by: `docs/synth/procedural.md`.
Limit: `code` is not here: it runs in the sandbox only, through `score: {verifier: …}`.

A verifier never raises, whatever the texts are, and comes back in bounded time.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from gristmill.errors import RecipeError, nearest
from synth.verify.choice import verify_choice, verify_exact
from synth.verify.constraints import compiled, verify_constraints, verify_constraints_share
from synth.verify.maths import verify_maths, verify_number
from synth.verify.structure import validator, verify_json_schema
from synth.verify.tasks import TASK_VERIFIERS

Verifier = Callable[..., float]  # (completion, answer, prompt='')
VERIFIERS: dict[str, Verifier] = {
    "exact": verify_exact,
    "choice": verify_choice,
    "number": verify_number,
    "maths": verify_maths,
    "json_schema": verify_json_schema,
    "constraints": verify_constraints,
    "constraints.share": verify_constraints_share,
    **TASK_VERIFIERS,
}
IN_SANDBOX = "code"
GROUP = "gristmill.verifiers"  # entry points of third parties
_SPECS = {"json_schema": validator, "constraints": compiled, "constraints.share": compiled}


def verifier_names() -> list[str]:
    """Every name that a row's `verifier` may have."""
    return sorted({*VERIFIERS, IN_SANDBOX, *(point.name for point in entry_points(group=GROUP))})


def verifier(name: str) -> Verifier:
    """The verifier of a name; RecipeError with the nearest name otherwise."""
    if name not in VERIFIERS:
        for point in entry_points(group=GROUP, name=name):
            VERIFIERS[name] = point.load()
    if name not in VERIFIERS:
        raise RecipeError(f"verifier is {name!r}{nearest(name, verifier_names())}")
    return VERIFIERS[name]


def fault_of_answer(name: str, answer: str) -> str:
    """What is wrong with an answer that is a schema or constraints; "" where nothing is."""
    if name not in _SPECS:
        return ""
    try:
        _SPECS[name](answer)
    except RecipeError as error:
        return str(error)
    return ""
