"""Recipes: YAML into validated steps.

In: a recipe file, `--set`, `--profile`. Out: a Recipe with its steps, loops unrolled.
Shown by: `gristmill plan pipelines/recipes/fineweb.yaml`.
Limit: `${var}` takes values of `vars:` only; there are no expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from curation import ops as curation_ops
from gristmill.errors import RecipeError, StoreError, explain, nearest
from gristmill.step import Step
from gristmill.store import check_name
from pipelines.steps import step_class
from pipelines.yaml_file import read_yaml
from synth import ops as synth_ops

KEYS = {"name", "seed", "vars", "profiles", "include", "steps"}
_VAR = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe ready to plan: steps in the order in which they run."""

    name: str
    seed: int
    path: Path
    steps: tuple[Step, ...]
    vars: dict[str, Any] = field(default_factory=dict)


def load_recipe(
    path: str | Path, set: Mapping[str, Any] | None = None, profile: str | None = None
) -> Recipe:
    """Read and validate a recipe. `set` maps `var` or `step.key` to values, as `--set` does."""
    path = Path(path)
    document = _read(path)
    name, seed = document.get("name") or path.stem, document.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise RecipeError(f"{path}: seed is {seed!r}; it must be a whole number")
    variables = dict(document.get("vars") or {})
    overrides = _profile(document, profile, path, variables)
    steps_set: dict[str, Any] = dict(overrides)
    for key, value in (set or {}).items():
        if key in variables:
            variables[key] = value
        elif "." in key:
            steps_set[key] = value
        else:
            raise RecipeError(
                f"--set {key}: the recipe {path} has no variable {key!r}"
                f"{nearest(key, variables)} (for a step's key write STEP.KEY=VALUE)"
            )
    variables = {key: _fill(value, variables, path, (key,)) for key, value in variables.items()}
    entries = list(_unroll(document.get("steps") or [], variables, path))
    if not entries:
        raise RecipeError(f"{path}: `steps:` is empty; a recipe needs at least one step")
    _override(entries, steps_set)
    names = [str(entry.get("name")) for entry in entries]
    steps = tuple(_step(entry, seed, path, names[:n]) for n, entry in enumerate(entries))
    for step in steps:
        if names.count(step.name) > 1:
            raise RecipeError(f"{path}: two steps are named {step.name!r}; names must differ")
    return Recipe(str(name), seed, path, steps, variables)


def parse_set(pairs: list[str]) -> dict[str, Any]:
    """`["a=1", "b.c=[x]"]` -> values; each value is YAML, or the text itself where that fails."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"--set {pair!r} is not KEY=VALUE, e.g. --set crawl='dump/*.warc.gz'")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            values[key.strip()] = text  # a glob such as *.warc.gz is no YAML
    return values


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    try:
        document = read_yaml(path)
    except FileNotFoundError:
        found = [str(p) for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise RecipeError(f"no recipe at {path}{nearest(str(path), found)}") from None
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RecipeError(f"{path} is not a YAML recipe: {error}") from None
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with `steps:`, got {document!r:.80}")
    for key in document:
        if key not in KEYS:
            raise RecipeError(f"{path}: unknown key {key!r}{nearest(str(key), KEYS)}")
    included: dict[str, Any] = {"vars": {}, "profiles": {}, "steps": []}
    for other in _as_list(document.get("include")):
        file = (path.parent / str(other)).resolve()
        if file in above:
            raise RecipeError(f"{path}: include {other!r} includes itself; remove the circle")
        part = _read(file, (*above, path.resolve()))
        for key in ("vars", "profiles"):
            included[key] |= part.get(key) or {}
        included["steps"] += part.get("steps") or []
    return {
        **document,
        "vars": included["vars"] | (document.get("vars") or {}),
        "profiles": included["profiles"] | (document.get("profiles") or {}),
        "steps": included["steps"] + (document.get("steps") or []),
    }


def _profile(
    document: dict[str, Any], profile: str | None, path: Path, variables: dict[str, Any]
) -> dict[str, Any]:
    """Apply a profile's `vars`; return its `set` (step keys)."""
    if profile is None:
        return {}
    profiles = document.get("profiles") or {}
    if profile not in profiles:
        raise RecipeError(f"{path} has no profile {profile!r}{nearest(profile, profiles)}")
    chosen = profiles[profile] or {}
    for key in chosen:
        if key not in {"vars", "set"}:
            raise RecipeError(f"{path}: profile {profile!r} has unknown key {key!r}: vars, set")
    for key, value in (chosen.get("vars") or {}).items():
        if key not in variables:
            raise RecipeError(
                f"{path}: profile {profile!r} sets {key!r}, which `vars` lacks"
                f"{nearest(key, variables)}"
            )
        variables[key] = value
    return dict(chosen.get("set") or {})


def _fill(
    value: Any, variables: Mapping[str, Any], path: Path, inside: tuple[str, ...] = ()
) -> Any:
    """Replace `${name}`: alone it keeps the variable's type, within text it is its text."""
    if isinstance(value, list):
        return [_fill(item, variables, path, inside) for item in value]
    if isinstance(value, dict):
        return {
            _fill(key, variables, path, inside): _fill(item, variables, path, inside)
            for key, item in value.items()
        }
    if not isinstance(value, str):
        return value

    def look_up(name: str) -> Any:
        if name not in variables:
            raise RecipeError(f"{path}: ${{{name}}} is not in `vars`{nearest(name, variables)}")
        if name in inside[1:] or (name in inside and value != inside[0]):
            raise RecipeError(f"{path}: variable {name!r} is defined through itself")
        return _fill(variables[name], variables, path, (*inside, name))

    if whole := _VAR.fullmatch(value):
        return look_up(whole[1].strip())
    return _VAR.sub(lambda match: str(look_up(match[1].strip())), value)


def _unroll(
    entries: list[Any], variables: Mapping[str, Any], path: Path
) -> Iterator[dict[str, Any]]:
    """Ordinary steps, with `repeat:` and `grid:` written out."""
    for entry in entries:
        if not isinstance(entry, dict):
            raise RecipeError(f"{path}: a step is a mapping with `name` and `use`, got {entry!r}")
        if "repeat" in entry:
            loop = _loop(entry, "repeat", {"times", "as", "steps"}, path)
            times = _fill(loop.get("times"), variables, path)
            if not isinstance(times, int) or isinstance(times, bool) or times < 1:
                raise RecipeError(f"{path}: repeat.times is {times!r}; use a whole number above 0")
            for index in range(1, times + 1):
                inner = {**variables, str(loop.get("as", "round")): index, "previous": index - 1}
                yield from _unroll(loop["steps"], inner, path)
        elif "grid" in entry:
            loop = _loop(entry, "grid", {"over", "steps"}, path)
            over = _fill(loop.get("over"), variables, path)
            if not isinstance(over, dict) or not all(isinstance(v, list) for v in over.values()):
                raise RecipeError(f"{path}: grid.over is {over!r}; use lists, e.g. {{n: [5, 13]}}")
            for values in product(*over.values()):
                inner = {**variables, **dict(zip(over, values, strict=True))}
                yield from _unroll(loop["steps"], inner, path)
        else:
            yield _fill(deepcopy(entry), variables, path)


def _loop(entry: dict[str, Any], key: str, known: set[str], path: Path) -> dict[str, Any]:
    loop = entry[key]
    if len(entry) != 1 or not isinstance(loop, dict) or "steps" not in loop:
        raise RecipeError(f"{path}: `{key}:` is a mapping of {sorted(known)}, got {loop!r:.80}")
    for name in loop:
        if name not in known:
            raise RecipeError(f"{path}: {key} has unknown key {name!r}{nearest(name, known)}")
    return dict(loop)


def _override(entries: list[dict[str, Any]], settings: Mapping[str, Any]) -> None:
    """Apply `--set step.key=value`; keys go down mappings and lists (`ops.2.rules`)."""
    names = [str(entry.get("name")) for entry in entries]
    for key, value in settings.items():
        owners = [name for name in names if key.startswith(name + ".")]
        if not owners:
            raise RecipeError(f"--set {key}: no step of that name{nearest(key, names)}")
        owner = max(owners, key=len)
        target: Any = entries[names.index(owner)]
        *inner, last = key[len(owner) + 1 :].split(".")
        for part in inner:
            target = _down(target, part, key)
        if isinstance(target, list):
            target[_index(target, last, key)] = value
        elif isinstance(target, dict):
            target[last] = value
        else:
            raise RecipeError(f"--set {key}: {target!r} has no key {last!r}; set the whole of it")


def _down(target: Any, part: str, key: str) -> Any:
    """One level down a step's mapping or list; a shorthand (`rules: NAME`) becomes a mapping."""
    place: Any = _index(target, part, key) if isinstance(target, list) else part
    if not isinstance(target, dict | list):
        raise RecipeError(f"--set {key}: {target!r} has no key {part!r}")
    if isinstance(target, dict):
        target.setdefault(place, {})
    inner = target[place]
    if isinstance(inner, str) and isinstance(target, list):
        target[place] = {inner: {}}  # `- pii` is `- pii: {}`
    elif isinstance(inner, str) and isinstance(target, dict):
        for ops in (curation_ops, synth_ops):
            if part in ops.op_names():
                target[place] = {ops.scalar_field(part): inner}
    return target[place]


def _index(target: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(target):
        raise RecipeError(
            f"--set {key}: {part!r} is not one of the {len(target)} entries; count from 0"
        )
    return int(part)


def _step(entry: dict[str, Any], seed: int, path: Path, before: Sequence[str]) -> Step:
    where = f"{path}: step {entry.get('name')!r}"
    for key in ("name", "use"):
        if not isinstance(entry.get(key), str):
            raise RecipeError(f"{where}: `{key}` is {entry.get(key)!r}; every step needs one")
    try:
        check_name(entry["name"])
        cls = step_class(entry["use"])
        if "seed" in cls.model_fields and entry.get("seed") is None:
            entry = {**entry, "seed": seed}
        named = {key: _named(entry[key], before) for key in cls.PATTERNS if key in entry}
        return _made(cls, {**entry, **named})
    except (RecipeError, StoreError) as error:
        raise RecipeError(f"{where}: {error}") from None


def _named(value: Any, before: Sequence[str]) -> Any:
    """Names for patterns: the steps before this one that match, in their order."""
    if isinstance(value, dict):
        return {key: _named(inner, before) for key, inner in value.items()}
    if isinstance(value, list):
        found = [_named(inner, before) for inner in value]
        return [name for inner in found for name in _as_list(inner)]
    if not isinstance(value, str) or not any(sign in value for sign in "*?["):
        return value
    names = [name for name in before if fnmatchcase(name, value)]
    if not names:
        raise RecipeError(f"pattern {value!r} matches no step before it{nearest(value, before)}")
    return names


def _made(cls: type[Step], entry: dict[str, Any]) -> Step:
    try:
        return cls.model_validate(entry)
    except ValidationError as error:
        raise RecipeError(explain(error, cls)) from None


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
