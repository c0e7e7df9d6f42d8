"""Exact versions of what a step reads: those that this recipe's own steps give, else the store's.

In: a step, the versions made so far. Out: datasets by the reference that the step names.
Shown by: `gristmill run RECIPE --only STEP`.
Limit: a step whose files are gone has no fingerprint; then `--only` reads the latest version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gristmill.errors import GristmillError, RecipeError, StoreError
from gristmill.progress import Progress
from gristmill.step import Step
from gristmill.store import Dataset, Store, write_ref
from pipelines.changes import explain_change
from pipelines.fingerprint import ask


def promised(ref: str, planned: set[str]) -> bool:
    """Whether a step of the recipe makes the dataset: `NAME`, or an output `NAME.suffix` of it."""
    return bool(maker(ref, planned))


def made_before(
    only: str, steps: Sequence[Step], store: Store, limit: int | None, progress: Progress
) -> dict[str, str]:
    """What the steps that `only` builds on have made with this recipe's settings.

    Where they have not, `only` will read the latest version: the user is told which and why.
    """
    made: dict[str, str] = {}
    why: dict[str, str] = {}
    planned = {step.name for step in steps}
    target = next(step for step in steps if step.name == only)
    needed = _led_to(target, steps)
    for step in steps:
        if step.name not in needed:
            continue
        try:
            waiting = [ref for ref in step.inputs() if maker(ref, planned) in why]
            if waiting:
                why[step.name] = f"{waiting[0]} is not"
                continue
            asked = ask(step, store, resolve_inputs(step, store, made, planned), limit)
        except GristmillError as error:
            why[step.name] = str(error)
            continue
        if found := built(store, step.name, asked.fingerprint, refresh=False):
            made |= found
        else:
            why[step.name] = explain_change(store, step, asked)
    for ref in target.inputs():
        if (name := maker(ref, planned)) in why and "@" not in ref:
            with suppress(StoreError):  # not there at all: resolve_inputs says so
                progress.note(
                    f"{only}: reads the latest, {store[ref].ref}; what the recipe's step {name!r} "
                    f"gives is not built ({why[name]}); run without --only to build it"
                )
    return made


def maker(ref: str, planned: set[str]) -> str:
    """The step of the recipe that makes a dataset, or ""."""
    name = ref.partition("@")[0]
    found = [step for step in planned if name == step or name.startswith(f"{step}.")]
    return max(found, key=len, default="")


def _led_to(target: Step, steps: Sequence[Step]) -> set[str]:
    """Names of the steps that it builds on, directly or through others."""
    planned = {step.name for step in steps}
    needed: set[str] = set()
    todo = [target]
    while todo:
        names = {maker(ref, planned) for ref in todo.pop().inputs() if "@" not in ref}
        fresh = names - needed - {"", target.name}
        needed |= fresh
        todo += [step for step in steps if step.name in fresh]
    return needed


def resolve_inputs(
    step: Step, store: Store, made: Mapping[str, str], planned: set[str], only: str | None = None
) -> dict[str, Dataset]:
    """Exact versions of what a step reads: from this run where it made them, else the store's."""
    inputs = {}
    for ref in step.inputs():
        name = ref.partition("@")[0]
        if "@" not in ref and name in made:
            inputs[ref] = Dataset(store, name, made[name])
        elif promised(name, planned) and only is None:
            raise RecipeError(
                f"step {step.name!r} reads {ref!r}, which a later step makes; put that step first"
            )
        else:
            try:
                inputs[ref] = store[ref]
            except StoreError as error:
                fix = "; run without --only to build it" if promised(ref, planned) else as_path(ref)
                raise RecipeError(f"step {step.name!r} reads {ref!r}: {error}{fix}") from None
    return inputs


def as_path(ref: str) -> str:
    """For an error: how a folder that lies here under the name of a dataset is written; or ""."""
    found = any((Path(ref) / file).is_file() for file in ("config.json", "tokenizer.json"))
    return f"; a name is one of the store: for the folder {ref!r}, write './{ref}'" if found else ""


def built(store: Store, name: str, fingerprint: str, refresh: bool = True) -> dict[str, str] | None:
    """Versions of a committed fingerprint whose directories are all there.

    refresh: make them `latest` again, as a build would have done.
    """
    record = store.build(name, fingerprint)
    if record is None:
        return None
    versions: dict[str, str] = record["outputs"]
    for output, version in versions.items():
        if not (store.path / output / version / ".manifest.json").exists():
            return None
    for output, version in versions.items() if refresh else ():
        if store.refs(output).get("latest") != version:
            write_ref(store.path / output / "refs" / "latest", version)
    return versions
