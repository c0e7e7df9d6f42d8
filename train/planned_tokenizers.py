"""The tokenizers of a model and of a mixture before they are built, where files tell them.

In: a name, and what the planner knows. Out: the tokenizer's files; None where a step is still to
make them. Shown by: `gristmill plan pipelines/recipes/train/latent_thoughts.yaml`.
Limit: nothing is known of a hub's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gristmill.step import Ahead
from mixtures.tokens.tokenizer_sources import Hub, Source, dataset_of, read_source
from mixtures.tokens.tokenizers import MAIN, tokenizer_files
from train.models.vocabulary import Files, folder_files


def model_tokenizer(source: Source, ahead: Ahead) -> Files | None:
    """Of a checkpoint: a folder, a model of the store, or what a step will train or merge."""
    if isinstance(source, Hub):
        return None
    ref = dataset_of(source)
    if ref is None:
        return _there(folder_files(Path(source).expanduser()))
    if (dataset := ahead.dataset(ref)) is not None:
        return _there(folder_files(dataset.path)) if dataset.is_folder else None
    from train.step import Train
    from train.weights.step import Checkpoint

    planned = ahead.step(ref)
    if isinstance(planned, Checkpoint):
        return model_tokenizer(planned.op.sources()[0], ahead)
    if isinstance(planned, Train) and planned.init.from_ is not None:
        return model_tokenizer(planned.init.from_, ahead)
    return None


def mixture_tokenizers(mixture: str, ahead: Ahead) -> Iterator[tuple[str, Files]]:
    """Of the tokens that a mixture will read: what they are called, and the files."""
    from mixtures.blend.step import Mixture
    from mixtures.tokens.tokenize import Tokenize, settled

    planned = ahead.step(mixture)
    for source in planned.sources.values() if isinstance(planned, Mixture) else ():
        tokens = ahead.step(source.from_)
        if isinstance(tokens, Tokenize):
            given = _tokenizer(tokens.tokenizer, ahead)
            if given is not None:
                yield f"{source.from_} (tokenizer {tokens.tokenizer})", settled(tokens, given)[0]
        elif tokens is None and (dataset := ahead.dataset(source.from_)) is not None:
            yield source.from_, tokenizer_files(dataset.output(".tokenizer"))


def _tokenizer(source: Source, ahead: Ahead) -> Files | None:
    if isinstance(source, Hub):
        return None
    ref = dataset_of(source)
    if ref is None:
        return read_source(source, {}, "")
    dataset = ahead.dataset(ref)
    return None if dataset is None else tokenizer_files(dataset)


def _there(files: Files) -> Files | None:
    return files if MAIN in files else None
