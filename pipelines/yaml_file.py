"""YAML of recipes, where a key that stands twice is an error and not the last one's victory.

In: a file. Out: plain values. Shown by: `gristmill plan` of a recipe with a key twice in a step.
Limit: keys that `<<` merges in may be set again; that is what merging is for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gristmill.errors import RecipeError


class _Loader(yaml.SafeLoader):
    """Safe, and strict about keys."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in seen:
            raise RecipeError(
                f"{key.start_mark.name}, line {line}: key {key.value!r} is there already, in line "
                f"{seen[name]}; keep one of them"
            )
        seen[name] = line
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """The values of a file; RecipeError for a key twice in one mapping."""
    with path.open(encoding="utf-8") as stream:
        return yaml.load(stream, Loader=_Loader)
