"""Lists of domains, URLs and words from files, as sets of 64-bit hashes that kernels search.

In: paths of text files (.gz), directories or .tar(.gz), one entry a line, `#` for comments;
`path#glob` picks members. Out: arrays of entries, and hash sets of 16 bytes an entry or less.
Shown by: `gristmill run` with `- url: {domains: "ut1_blocklists.tar.gz#adult/domains"}`.
Limit: two entries with equal hashes are taken for one (never seen: 2^-64 a pair).
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from gristmill import fs
from gristmill.errors import GristmillError
from gristmill.text.buffers import string_buffers


def list_paths(entries: Sequence[str]) -> list[str]:
    """The paths of list entries, without their `#glob`."""
    return [entry.partition("#")[0] for entry in entries]


def read_entries(entries: Sequence[str], member: str) -> pa.Array:
    """All lines of all lists, lower case, trimmed, without comments and empty ones.

    member: which files count in a directory or archive when the entry does not say (`*domains`).
    """
    chunks = [pa.array([], pa.large_string())]
    for entry in entries:
        path, _, glob = entry.partition("#")
        texts = [text for _, text in _members(path, glob or member)]
        if not texts:
            raise GristmillError(
                f"{path!r} holds no file named {glob or member!r}; say which with `{path}#glob`"
            )
        for text in texts:
            lines = text.decode("utf-8", "replace").lower().splitlines()
            chunks.append(pa.array(lines, pa.large_string()))
    joined = pc.utf8_trim_whitespace(pa.chunked_array(chunks).combine_chunks())
    comment = pc.or_(pc.equal(pc.binary_length(joined), 0), pc.starts_with(joined, "#"))
    return joined.filter(pc.invert(comment))


def domain_entries(lines: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(domains, URLs): `*.a.org`, `||a.org^`, `0.0.0.0 a.org` and `http://a.org/` all mean a.org.

    An entry with a path is a URL.
    """
    lines = pc.replace_substring_regex(lines, r"\s+#.*$", "")
    lines = pc.replace_substring_regex(lines, r"^[0-9a-f.:]+\s+", "")
    lines = pc.replace_substring_regex(lines, r"^(?:[a-z]+://|\|\|)?(?:\*?\.)?", "")
    lines = pc.replace_substring_regex(lines, r"[\^/.]+$", "")
    path = pc.match_substring(lines, "/")
    return lines.filter(pc.invert(path)), url_entries(lines.filter(path))


def url_entries(lines: pa.Array) -> pa.Array:
    """URLs without scheme, `www.`, fragment and closing slash, as the kernel compares them."""
    lines = pc.replace_substring_regex(lines, r"^(?:[a-z]+://)?(?:www\.)?", "")
    return pc.replace_substring_regex(lines, r"(?:#.*|/+)$", "")


def word_entries(lines: pa.Array) -> pa.Array:
    """Words with only letters and digits left (`2 girls` is 2girls)."""
    words = pc.replace_substring_regex(lines, r"[^a-z0-9]+", "")
    return words.filter(pc.greater(pc.binary_length(words), 0))


def hash_set(entries: pa.Array) -> np.ndarray:
    """uint64 table with open addressing, a power of two of twice the entries or more; 0: free."""
    data, offsets = string_buffers(entries)
    size = 2
    while size < 2 * len(entries):
        size *= 2
    table = np.zeros(size, np.uint64)
    _fill(data, offsets, table)
    return table


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def hash_bytes(data, begin, end):  # type: ignore[no-untyped-def]
    """FNV-1a over data[begin:end] with ASCII capitals lowered; mixed by `finish`."""
    value = np.uint64(14695981039346656037)
    for i in range(begin, end):
        value = hash_step(value, data[i])
    return finish(value)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False, inline="always")
def hash_step(value, byte):  # type: ignore[no-untyped-def]
    """One byte of FNV-1a."""
    low = byte | np.uint8(32) if 65 <= byte <= 90 else byte
    return (value ^ np.uint64(low)) * np.uint64(1099511628211)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False, inline="always")
def finish(value):  # type: ignore[no-untyped-def]
    """All bits into the low ones that index a table; never 0, which marks a free slot."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    return value | np.uint64(1)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def contains(table, value):  # type: ignore[no-untyped-def]
    """Whether a finished hash is in a table."""
    mask = np.uint64(len(table) - 1)
    slot = (value >> np.uint64(1)) & mask
    while table[slot] != 0:
        if table[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & mask
    return False


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _fill(data, offsets, table):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    for row in range(len(offsets) - 1):
        value = hash_bytes(data, offsets[row], offsets[row + 1])
        slot = (value >> np.uint64(1)) & mask
        while table[slot] != 0 and table[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = value


def _members(path: str, glob: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files that an entry means, unpacked."""
    files = fs.expand(path)
    alone = len(files) == 1 and files[0].name == PurePosixPath(path).name
    for file in files:
        if file.name.endswith((".tar", ".tar.gz", ".tgz")):
            yield from _tar_members(file.path, glob)
        elif alone or _matches(file.name, glob):
            with fs.open_file(file.path) as opened:
                yield file.name, _unpacked(file.name, opened.read())


def _tar_members(path: str, glob: str) -> Iterator[tuple[str, bytes]]:
    try:
        with fs.open_file(path) as opened, tarfile.open(fileobj=opened, mode="r|*") as tar:
            for member in tar:
                if member.isfile() and _matches(member.name, glob):
                    content = tar.extractfile(member)
                    assert content is not None
                    yield member.name, _unpacked(member.name, content.read())
    except (tarfile.TarError, EOFError) as error:
        raise GristmillError(f"{path!r} is no readable tar archive: {error}") from error


def _matches(name: str, glob: str) -> bool:
    """The whole name, or its end after any directory."""
    return fnmatch.fnmatch(name, glob) or fnmatch.fnmatch(name, "*/" + glob)


def _unpacked(name: str, data: bytes) -> bytes:
    if not name.endswith(".gz"):
        return data
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(data)).read()
    except (OSError, EOFError) as error:
        raise GristmillError(f"list {name!r} cannot be unpacked: {error}") from error
