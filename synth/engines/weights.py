"""Which model answers: the folder of its weights, its digest, and the context it may use.

In: a local model folder, or a hub id that the user lets us download. Out: synth.calls.Model.
Shown by: `python -m pytest tests/synth/engines/test_rendering.py`.
Limit: only files directly in the folder count, as loaders read no others.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gristmill.digests import content_digests
from gristmill.errors import RecipeError
from gristmill.fs import InputFile
from gristmill.ids import canonical_json
from synth.calls import Model

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".json", ".py")
_TRAINING = ("optimizer", "scheduler", "trainer_state", "training_args", "rng_state")
_TOKENIZER = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
}
_CONTEXT_KEYS = (  # what makers of models call their context, most telling first
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_sequence_length",
)


def model_folder(model: str, download: bool = False, revision: str = "") -> Path:
    """The local folder of a model; a hub id is fetched only where `download` allows it."""
    folder = Path(os.path.expanduser(model))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise RecipeError(
                f"model {model!r} is a folder without config.json; name a folder as "
                "`save_pretrained` writes it"
            )
        return folder
    if not download:
        raise RecipeError(
            f"model {model!r} is no folder on this machine; give the path of a model folder, or "
            "set `download: true` if it is a hub id that may be fetched"
        )
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, revision=revision or None))


def deciding_files(folder: Path) -> tuple[list[InputFile], list[InputFile]]:
    """Files that decide weights and config, and files that decide tokenizer and template."""
    weights, tokenizer = [], []
    for entry in sorted(os.scandir(folder), key=lambda found: found.name):
        if not entry.is_file() or entry.name.startswith("."):
            continue
        stat = entry.stat()
        file = InputFile(os.path.abspath(entry.path), entry.name, stat.st_size, stat.st_mtime)
        if entry.name in _TOKENIZER:
            tokenizer.append(file)
        elif entry.name.endswith(_WEIGHTS) and not entry.name.startswith(_TRAINING):
            weights.append(file)
    return weights, tokenizer


def identify(
    folder: Path,
    name: str = "",
    settings: Mapping[str, Any] | None = None,
    lora: Path | None = None,
    cache: Path | None = None,
) -> Model:
    """Name, revision and template of a model folder.

    settings: what else changes the answers of these weights (dtype, quantization).
    cache: where digests are remembered by path, size and time; weights may be 100 GB.
    """
    weights, tokenizer = deciding_files(folder)
    parts: dict[str, Any] = {"weights": _digests(weights, cache)}
    if lora is not None:
        parts["lora"] = _digests(deciding_files(lora)[0], cache)
    if settings:
        parts["settings"] = dict(settings)
    return Model(
        name=name or folder.resolve().name,
        revision=_short(parts),
        template=_short(_digests(tokenizer, cache)),
    )


def context_length(folder: Path) -> int | None:
    """Tokens that the model's config says it can hold."""
    config = read_config(folder)
    for part in (config, config.get("text_config") or {}):
        for key in _CONTEXT_KEYS:
            if isinstance(part.get(key), int):
                return int(part[key])
    return None


def read_config(folder: Path) -> dict[str, Any]:
    """config.json; RecipeError where it is no JSON object."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"config.json of model {str(folder)!r} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise RecipeError(f"config.json of model {str(folder)!r} is no JSON object")
    return config


def _digests(files: list[InputFile], cache: Path | None) -> dict[str, str]:
    return dict(zip([file.name for file in files], content_digests(files, cache), strict=True))


def _short(parts: Any) -> str:
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:32]
