"""A job: all that the processes of a stage need; plain data that travels to them.

In: a validated step, exact versions of its inputs. Out: folders and datasets, opened when asked.
Shown by: any `use: train`. Limit: all processes see the same store (a shared file system).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from gristmill.store import Dataset, Store
from mixtures.tokens.tokenizer_sources import Hub, Source, dataset_of

if TYPE_CHECKING:
    from train.step import Train


@dataclass(frozen=True)
class Job:
    """One stage, ready to run."""

    step: Train
    store: str
    inputs: dict[str, str]  # reference -> name@version
    work: str  # checkpoints and logs of a run that may be killed; outlives a task
    rows: str | None = None  # what train.data.prepare wrote, where the data is rows

    def dataset(self, ref: str) -> Dataset:
        """An input, by the reference that the recipe uses."""
        return Store(self.store)[self.inputs[ref]]

    def model_folder(self, source: Source) -> Path:
        """The folder of a model: of the store, of the disk, or fetched from a hub by its commit."""
        return model_folder(source, Store(self.store), self.inputs)


def model_folder(source: Source, store: Store, inputs: Mapping[str, str]) -> Path:
    """The folder of a model. inputs: reference -> exact version, as the run resolved it."""
    if isinstance(source, Hub):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(source.hub, revision=source.revision))
    ref = dataset_of(source)
    if ref is None:
        return Path(source).expanduser()
    dataset = store[inputs[ref]]
    if not dataset.is_folder:
        raise RecipeError(
            f"{dataset.ref} is rows of kind {dataset.manifest['kind']}, not a model; name the "
            "output of `use: train` or `use: checkpoint`"
        )
    return dataset.path
