"""Gristmill: web dumps into the data that language models are trained on, and training on it.

>>> from gristmill import Store, run
>>> run("pipelines/recipes/fineweb.yaml", set={"crawl": "crawl/*.warc.gz"})
>>> Store("store")["web/final"].sql("select language, count(*) from this group by 1")
"""

from __future__ import annotations

from typing import Any

from gristmill.errors import GristmillError
from gristmill.store import Dataset, Store

__all__ = ["Dataset", "GristmillError", "Store", "run"]
__version__ = "0.1.0"


def run(recipe: str, **options: Any) -> dict[str, str]:
    """Run a recipe file: dataset name -> version. Options: `pipelines.run.run_recipe`."""
    from importlib import import_module

    # By name: the core imports no stage, and a laptop that only reads needs no planner.
    result: dict[str, str] = import_module("pipelines.run").run_recipe(recipe, **options)
    return result
