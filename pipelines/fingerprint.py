"""Fingerprints: what was asked of a step, as one digest.

In: a step, the versions that it reads, the files that it points to. Out: 64 hex digits and the
parts.
Shown by: `gristmill show web/clean`. Limit: a package's version stands for its behaviour.

Paths never enter: a file is its name under the glob's root, its size and the digest of its content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gristmill.digests import content_digests
from gristmill.errors import GristmillError
from gristmill.fs import InputFile, expand
from gristmill.ids import digest
from gristmill.step import Step
from gristmill.store import Dataset, Store


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of a fingerprint, as the build record keeps them."""

    name: str
    use: str
    fingerprint: str
    config: dict[str, Any]
    parents: list[str]
    files: dict[str, list[InputFile]]  # by the glob that the config names
    digests: dict[str, dict[str, Any]]
    packages: dict[str, str]

    def record(self) -> dict[str, Any]:
        """For the build record."""
        return {
            "use": self.use,
            "config": self.config,
            "parents": self.parents,
            "files": list(self.digests.values()),
            "packages": self.packages,
        }


def ask(step: Step, store: Store, inputs: Mapping[str, Dataset], limit: int | None) -> Asked:
    """Fingerprint a step. Reads every input file once; digests are cached in the store."""
    try:
        files = {pattern: expand(pattern) for pattern in step.files()}
    except GristmillError as error:
        raise type(error)(f"step {step.name!r}: {error}") from None
    cache = store.path / ".cache" / "digests.jsonl"
    digests = {
        pattern: {
            "pattern": pattern,
            "count": len(found),
            "bytes": sum(file.size for file in found),
            "digest": digest(
                [
                    [file.name, file.size, content]
                    for file, content in zip(found, content_digests(found, cache), strict=True)
                ]
            ),
        }
        for pattern, found in files.items()
    }
    config = step.config()
    by_content = {pattern: f"sha256:{entry['digest']}" for pattern, entry in digests.items()}
    packages = {name: _package_version(name) for name in sorted(set(step.packages()))}
    parents = [dataset.ref for dataset in inputs.values()]
    versions = {ref: dataset.ref for ref, dataset in inputs.items()}
    asked = {
        "format": 1,
        "step": f"{step.use} v{step.VERSION}",
        "config": _replace(config, {**by_content, **versions}),
        "parents": parents,
        "packages": packages,
        "limit": limit if step.limited() else None,
    }
    # Files that the config does not name by their pattern: a prompt by its short name, weights.
    named = set(_texts(config))
    if unnamed := sorted(by_content[pattern] for pattern in files if pattern not in named):
        asked["files"] = unnamed
    if limit is not None and step.limited():
        config = {**config, "limit": limit}
    return Asked(step.name, step.use, digest(asked), config, parents, files, digests, packages)


def _replace(value: Any, names: Mapping[str, str]) -> Any:
    """Put content digests and exact versions where the config names files and datasets."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [_replace(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _replace(item, names) for key, item in value.items()}
    return value


def _texts(value: Any) -> Iterator[str]:
    """Every string of a config, keys apart."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
