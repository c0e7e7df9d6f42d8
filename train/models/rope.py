"""RoPE as a stage changes it: which keys each type takes, and what a patch means for the old ones.

In: `model.patch.rope_parameters`, the checkpoint's config. Out: whole rope_parameters.
Shown by: `python -m pytest tests/train/models/test_config.py`.
Limit: a config whose layers have different rope_parameters is patched layer type by layer type.

    {rope_type: default, rope_theta: 6315089}                        AFM's context stage
    {rope_type: linear, factor: 4}                                   positional interpolation
    {rope_type: yarn, factor: 4}                                     YaRN, arXiv:2309.00071
    {rope_type: longrope, factor: 32, short_factor: [...], long_factor: [...]}   arXiv:2402.13753
    {rope_type: llama3, factor: 8, low_freq_factor: 1, high_freq_factor: 4}      Llama 3.1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gristmill.errors import RecipeError, nearest

_ALL = {"rope_type", "rope_theta", "partial_rotary_factor"}
_LENGTH = "original_max_position_embeddings"
_YARN = {"attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}
# Type -> keys that it must have, keys that it may have.
TYPES: dict[str, tuple[set[str], set[str]]] = {
    "default": (set(), set()),
    "linear": ({"factor"}, set()),
    "dynamic": ({"factor"}, {_LENGTH}),
    "yarn": ({"factor"}, {_LENGTH, *_YARN}),
    "longrope": ({"short_factor", "long_factor"}, {"factor", "attention_factor", _LENGTH}),
    "llama3": ({"factor", "low_freq_factor", "high_freq_factor"}, {_LENGTH}),
    "proportional": (set(), {"factor"}),
}
SCALED = ("yarn", "longrope", "llama3")  # scaled from the length that the model was trained at


def check_rope(given: Any, where: str) -> None:
    """RecipeError for a type or a key that does not exist, or a key that is missing."""
    if not isinstance(given, Mapping):
        raise RecipeError(f"{where}.rope_parameters is {given!r:.80}, not a mapping of its keys")
    if any(isinstance(value, Mapping) for value in given.values()):
        for key, value in given.items():
            check_rope(value, f"{where}.rope_parameters[{key!r}]")
        return
    kind = given.get("rope_type", "default")
    if kind not in TYPES:
        raise RecipeError(
            f"{where}.rope_parameters.rope_type is {kind!r}{nearest(str(kind), TYPES)}"
        )
    must, may = TYPES[kind]
    for key in given:
        if key not in _ALL | must | may:
            known = _ALL | must | may
            raise RecipeError(
                f"{where}.rope_parameters: type {kind!r} has no key {key!r}{nearest(key, known)}"
            )
    if missing := sorted(must - set(given)):
        raise RecipeError(f"{where}.rope_parameters: type {kind!r} needs {', '.join(missing)}")


def patched_rope(
    before: Mapping[str, Any], patch: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """The old parameters with the patch. Another type starts anew, but for theta.

    A type that scales is told the length that the checkpoint was trained at, not the one that the
    patch asks for.
    """
    old = before.get("rope_parameters") or {}
    if any(isinstance(value, Mapping) for value in {**old, **patch}.values()):
        return {**old, **patch}
    kind = patch.get("rope_type", old.get("rope_type", "default"))
    same = kind == old.get("rope_type", "default")
    kept = (
        old
        if same
        else {key: old[key] for key in ("rope_theta", "partial_rotary_factor") if key in old}
    )
    found = {**kept, **patch, "rope_type": kind}
    length = old.get(_LENGTH, before.get("max_position_embeddings"))
    if kind in SCALED and length is not None:
        found.setdefault(_LENGTH, length)
        longer = after.get("max_position_embeddings", length) / length
        if kind != "llama3":
            found.setdefault("factor", longer)
    return found
