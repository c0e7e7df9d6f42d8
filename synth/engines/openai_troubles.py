"""What ends a run that asks a server: errors that say what was seen, what was tried, what to do.

In: the facts. Out: TaskError where the user must act, EngineDied where the driver may try again.
Shown by: `python -m pytest tests/synth/engines/test_openai_faults.py -k ends`.
Limit: texts that a server sent come here without secrets already.
"""

from __future__ import annotations

from gristmill.errors import TaskError
from synth.calls import EngineDied

KEPT = "then run the same command again: finished work is kept"


def refuses_all(base: str, said: str) -> TaskError:
    """A key withdrawn, no credit left, the model gone."""
    return TaskError(f"{base} refuses every request: {said}. Mend that, {KEPT}")


def asks_to_wait(base: str, seconds: float, patience_s: float, said: str) -> TaskError:
    """A quota that is used up."""
    return TaskError(
        f"{base} asks to wait {seconds:.0f} s, which is more than patience_s ({patience_s:g}): "
        f"{said}. Wait, {KEPT}"
    )


def all_failed(base: str, count: int, last: str) -> TaskError:
    """A server, or a recipe, that fails whatever is asked."""
    return TaskError(
        f"the last {count} requests to {base} failed and none succeeded; {last}. Mend the server "
        f"or the recipe, {KEPT}, and these requests are made again"
    )


def another_model(base: str, now: str) -> TaskError:
    """The address is served by other weights than the run began with."""
    return TaskError(
        f"{base} came back with another model ({now[:200]}); start the one that this run began "
        f"with, {KEPT}"
    )


def stays_away(base: str, said: str, patience_s: float) -> EngineDied:
    """Nobody listens any more."""
    return EngineDied(
        f"nobody listens at {base} any more ({said}); it was looked for during {patience_s:g} s "
        "(patience_s)"
    )
