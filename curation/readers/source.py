"""What a recipe's `from:` says: a format, its files, and which fields mean what.

In: `{warc: "crawl/*.warc.gz"}`, `{jsonl: [...], text_field: body}`, or a bare pattern. Out: a
checked `Source`.
Shown by: `gristmill run pipelines/recipes/fineweb.yaml --set crawl='crawl/*.warc.gz'`.
Limit: one source has one format; several formats are several steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from curation.readers.lines import Fields
from gristmill import fs
from gristmill.errors import RecipeError, nearest

# Endings that count in a directory, and that tell a bare pattern's format.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "warc": (".warc.gz", ".warc", ".warc.lz4", ".warc.zst"),
    "wet": (".wet.gz", ".wet"),
    "html": (".html", ".htm", ".xhtml", ".html.gz", ".htm.gz"),
    "jsonl": tuple(
        kind + packed
        for kind in (".jsonl", ".ndjson", ".json")
        for packed in ("", ".gz", ".zst", ".bz2", ".xz")
    ),
    "parquet": (".parquet", ".pq"),
    "text": (".txt", ".txt.gz", ".md"),
}
_FIELDS = Fields()
_FIELD_OPTIONS = {
    "text_field": "text",
    "html_field": "html",
    "id_field": "id",
    "url_field": "url",
    "date_field": "date",
    "language_field": "language",
    "metadata": "metadata",
}
_OPTIONS: dict[str, set[str]] = {
    "warc": set(),
    "wet": set(),
    "html": {"base_url"},
    "text": {"base_url", "unit"},
    "jsonl": set(_FIELD_OPTIONS),
    "parquet": set(_FIELD_OPTIONS),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A checked source: format, patterns, and the options of the format."""

    format: str
    patterns: tuple[str, ...]
    fields: Fields = _FIELDS
    base_url: str | None = None
    unit: str = "file"  # of text: one document a "file" or a "line"

    def files(self) -> list[fs.InputFile]:
        """The files, sorted by name."""
        return fs.expand(self.patterns, SUFFIXES[self.format])


def is_source(value: Any) -> bool:
    """True for what `parse_source` means to read: a mapping with a format, or a path or glob."""
    if isinstance(value, dict):
        return bool(set(value) & set(SUFFIXES))
    return isinstance(value, str) and _format_of(value) is not None


def parse_source(value: Any) -> Source:
    """Check a `from:` entry; RecipeError with the nearest valid key otherwise."""
    if isinstance(value, Source):
        return value
    if isinstance(value, str):
        kind = _format_of(value)
        if kind is None:
            raise RecipeError(
                f"cannot tell the format of {value!r} from its name; "
                f"write it as a mapping, one of: {', '.join(SUFFIXES)}"
            )
        return Source(kind, (value,))
    if not isinstance(value, dict):
        raise RecipeError(f"a source is a mapping like `warc: crawl/*.warc.gz`, got {value!r}")
    formats = [key for key in value if key in SUFFIXES]
    if len(formats) != 1:
        keys = [str(key) for key in value]
        hint = nearest(keys[0], SUFFIXES) if keys and not formats else ""
        raise RecipeError(
            f"a source names one format of {', '.join(SUFFIXES)}; got {keys or 'none'}{hint}"
        )
    kind = formats[0]
    for key in value:
        if key != kind and key not in _OPTIONS[kind]:
            raise RecipeError(
                f"unknown option {key!r} of a {kind} source{nearest(str(key), _OPTIONS[kind])}"
            )
    patterns = value[kind]
    patterns = [patterns] if isinstance(patterns, str) else patterns
    listed = isinstance(patterns, list | tuple) and patterns
    if not listed or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise RecipeError(
            f"`{kind}:` takes a file, glob or directory, or a list, got {value[kind]!r}"
        )
    unit = value.get("unit", "file")
    if unit not in ("file", "line"):
        raise RecipeError(f"unit: {unit!r} is not one of file, line")
    base_url = value.get("base_url")
    if not isinstance(base_url, str | None):
        raise RecipeError(f"base_url is {base_url!r}; it is the URL that names are put behind")
    return Source(kind, tuple(patterns), _fields(value), base_url, unit)


def check_declared(value: Any) -> None:
    """RecipeError unless `declare:` has amounts of data that is not there yet."""
    known = {"documents", "tokens"}
    right = isinstance(value, dict) and "documents" in value and set(value) <= known
    if not right or not all(map(_is_amount, value.values())):
        raise RecipeError(
            f"declare is {value!r}; it takes documents and tokens, e.g. "
            "{documents: 3e9, tokens: 2e12}"
        )


def _is_amount(value: Any) -> bool:
    """A number, or YAML's text of one: `3e9` without a point is a string there."""
    try:
        return not isinstance(value, bool) and 0 <= float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False


def _fields(value: dict[str, Any]) -> Fields:
    given = {_FIELD_OPTIONS[key]: value[key] for key in value if key in _FIELD_OPTIONS}
    metadata = given.get("metadata", True)
    if isinstance(metadata, list | tuple) and all(isinstance(name, str) for name in metadata):
        given["metadata"] = tuple(metadata)
    elif not isinstance(metadata, bool):
        raise RecipeError(f"metadata is {metadata!r}; use true, false or a list of fields")
    for key, name in _FIELD_OPTIONS.items():
        found = given.get(name)
        right = (isinstance(found, str) and found != "") or (found is None and name != "text")
        if name in given and key != "metadata" and not right:
            raise RecipeError(f"{key} is {found!r}; it is the name of a field")
    return Fields(**given)


def _format_of(pattern: str) -> str | None:
    lower = pattern.lower()
    for kind, endings in SUFFIXES.items():
        if lower.endswith(endings):
            return kind
    return None
