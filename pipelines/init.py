"""Init: a recipe to start from, written where the user stands.

In: the name of a shipped recipe. Out: a YAML file of the user's own.
Shown by: `gristmill init`. Limit: never overwrites.
"""

from __future__ import annotations

from pathlib import Path

from gristmill.errors import RecipeError, nearest

RECIPES = Path(__file__).resolve().parent / "recipes"


def shipped() -> list[str]:
    """Names of the recipes that come with Gristmill."""
    return sorted(
        path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml")
    )


def write_recipe(target: Path, template: str = "fineweb") -> Path:
    """Copy a shipped recipe to `target`; RecipeError where something stands there."""
    source = RECIPES / f"{template}.yaml"
    if template not in shipped():
        below = [name for name in shipped() if name.startswith(f"{template.rstrip('/')}/")]
        hint = f"; choose one of {', '.join(below)}" if below else nearest(template, shipped())
        raise RecipeError(f"no shipped recipe {template!r}{hint}")
    if target.exists():
        raise RecipeError(f"{target} exists; choose another name (nothing is overwritten)")
    if not target.parent.is_dir():
        raise RecipeError(f"{target}: there is no directory {str(target.parent)!r}; make it first")
    target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return target
