"""lm_eval: tasks of EleutherAI's lm-evaluation-harness, over data on disk."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field

from gristmill.errors import RecipeError
from train.evaluate.results import Measured
from train.evaluate.spec import TaskSpec, register_task
from train.spec.base import Names

if TYPE_CHECKING:
    from train.evaluate.bench import Bench

ON_DISK = ("json", "csv", "parquet", "text", "arrow")
INSTALL = "pip install lm-eval"


class _Loader(yaml.SafeLoader):
    """YAML with the tag !function, which is not followed here."""


_Loader.add_constructor("!function", lambda loader, node: str(node.value))


@register_task("lm_eval")
class LmEvalTask(TaskSpec):
    """`{lm_eval: {folder: evals/, tasks: [arc_easy_local], fewshot: 0}}`.

    The folder has the harness's own task files, with `dataset_path: json` and `dataset_kwargs:
    {data_files: …}`: paths from where the command is run. Nothing is fetched.
    """

    folder: str  # of task files: *.yaml, and Python that they name
    tasks: Names = Field(min_length=1)  # names of tasks or groups
    fewshot: int | None = Field(None, ge=0)  # default: as the task says
    limit: int | None = Field(None, ge=1)  # items of each task
    chat: bool = False  # prompts through the model's chat template
    unsafe: bool = False  # run tasks that run code of the model

    def files(self) -> list[str]:
        folder = Path(self.folder).expanduser()
        found = sorted(p for p in folder.rglob("*") if p.suffix in (".yaml", ".yml", ".py"))
        if not found:
            raise RecipeError(f"lm_eval.folder is {self.folder!r}: no task file (*.yaml) is there")
        data = [file for path in found if path.suffix != ".py" for file in data_files(path)]
        return [*map(str, found), *dict.fromkeys(data)]

    def packages(self) -> list[str]:
        return ["lm-eval", "datasets"]

    def check(self) -> None:
        if find_spec("lm_eval") is None:
            raise RecipeError(f"the task lm_eval needs the package lm-eval: `{INSTALL}`")

    def measure(self, bench: Bench) -> Measured:
        self.check()
        from train.evaluate.harness import run_harness

        return run_harness(self, bench)


def data_files(path: Path) -> list[str]:
    """The data that a task file names; RecipeError where it lies on a hub."""
    loaded = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    if not isinstance(loaded, dict):
        return []
    place = loaded.get("dataset_path")
    if place is not None and place not in ON_DISK:
        raise RecipeError(
            f"{path}: dataset_path is {place!r}, which the harness would fetch; write "
            "`dataset_path: json` and `dataset_kwargs: {data_files: {test: FILE}}` for data on disk"
        )
    named = (loaded.get("dataset_kwargs") or {}).get("data_files") or []
    return _texts(named)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    several = value.values() if isinstance(value, dict) else value
    return [text for one in several for text in _texts(one)]
