"""Where a tokenizer comes from: a dataset of the store, files on disk, or a model hub.

In: the field `tokenizer` of a recipe. Out: file name -> content. Shown by: `use: tokenize`.
Limit: a hub is asked only for an exact commit, and only when the step runs.

    tokenizer: tok/bpe                        a dataset: `use: train_tokenizer`, or NAME.tokenizer
    tokenizer: ./llama                        a folder, or a .json file: "./", "/", "~" or ".json"
    tokenizer: {hub: org/name, revision: 40 hex digits}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gristmill.errors import GristmillError, RecipeError
from gristmill.fs import is_remote, open_file
from gristmill.store import Store
from mixtures.tokens.tokenizers import FILES, MAIN, tokenizer_files


class Hub(BaseModel):
    """A tokenizer of a model hub, by its commit: names alone could mean other files tomorrow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: str  # org/name
    revision: str  # 40 hex digits: the commit


Source = str | Hub


def dataset_of(source: Source) -> str | None:
    """The reference `name` or `name@version`, where a dataset is meant."""
    return source if isinstance(source, str) and not _is_path(source) else None


def files_of(source: Source) -> list[str]:
    """The files that a path means; a folder's are those that a tokenizer has, not its weights."""
    if not isinstance(source, str) or not _is_path(source):
        return []
    if is_remote(source) or (source.endswith(".json") and Path(source).name != MAIN):
        return [source]
    path = Path(source).expanduser()
    folder = path.parent if path.name == MAIN else path
    found = [str(folder / name) for name in FILES if (folder / name).is_file()]
    if str(folder / MAIN) not in found:
        seen = sorted(child.name for child in folder.iterdir())[:8] if folder.is_dir() else []
        lies = f"; there: {', '.join(seen)}" if seen else ""
        raise RecipeError(f"tokenizer {source!r}: no file {folder / MAIN}{lies}")
    return found


def check_source(source: Source) -> None:
    """Raise RecipeError for a hub's tokenizer that is not named exactly."""
    if isinstance(source, Hub) and not re.fullmatch(r"[0-9a-f]{40}", source.revision):
        raise RecipeError(
            f"{source.hub}: revision is {source.revision!r}; name the commit by its 40 hex digits "
            "(the hub's page shows it under 'Files'); a branch could mean other files tomorrow"
        )


def read_source(source: Source, datasets: Mapping[str, str], store: str) -> dict[str, bytes]:
    """Name -> content. datasets: reference -> exact version, as the run resolved it."""
    if isinstance(source, Hub):
        return _download(source)
    if (reference := dataset_of(source)) is not None:
        return tokenizer_files(Store(store)[datasets[reference]])
    paths = files_of(source)
    names = [MAIN] if len(paths) == 1 else [Path(path).name for path in paths]
    found = {}
    for name, path in zip(names, paths, strict=True):
        with open_file(path) as file:
            found[name] = file.read()
    return found


def _is_path(source: str) -> bool:
    return source.endswith(".json") or source.startswith((".", "/", "~")) or "://" in source


def _download(source: Hub) -> dict[str, bytes]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    found = {}
    for name in FILES:
        try:
            path = hf_hub_download(source.hub, name, revision=source.revision)
        except LocalEntryNotFoundError as error:
            why = f" ({error.__cause__})" if error.__cause__ else ""
            raise GristmillError(f"tokenizer {source.hub!r}: {error}{why}") from None
        except EntryNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise GristmillError(f"tokenizer {source.hub!r}: {error}") from None
        found[name] = Path(path).read_bytes()
    return found
