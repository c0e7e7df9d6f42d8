"""Op `url`: drop records by their URL: listed domains, pages, words.

In: the column url. Out: failures url.domain, url.page, url.word, url.soft_words, url.subword.
Shown by: `- url: {domains: "ut1_blocklists.tar.gz#adult/domains", soft_threshold: 2}` in a recipe.
Limit: what is compared is ASCII; a word in another script is met only percent-encoded or punycoded.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from pydantic import Field, field_validator

from curation.ops import Apply, Failure, Op, OpResult, Signals, register_op
from curation.url_lists import (
    contains,
    domain_entries,
    finish,
    hash_bytes,
    hash_set,
    hash_step,
    list_paths,
    read_entries,
    url_entries,
    word_entries,
)
from gristmill.errors import RecipeError
from gristmill.text.buffers import string_buffers

# Columns of the kernel's result.
_DOMAIN, _PAGE, _WORDS, _SOFT = range(4)
_MAX_WORDS = 64  # distinct words counted in one URL


@register_op("url")
class Url(Op):
    """Lists by path: text, .gz, a directory or .tar.gz, with `#glob` for its members."""

    domains: tuple[str, ...] = ()  # a domain and all below it
    pages: tuple[str, ...] = ()  # a URL, and all below it at a `/` or `?`
    words: tuple[str, ...] = ()  # one of them between other characters drops
    subwords: tuple[str, ...] = ()  # one of them anywhere drops
    soft_words: tuple[str, ...] = ()  # `soft_threshold` different ones drop
    soft_threshold: int = Field(2, ge=1)
    allow: tuple[str, ...] = ()  # domains that no rule of this op drops

    @field_validator("domains", "pages", "words", "subwords", "soft_words", "allow", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def _lists(self) -> list[tuple[str, ...]]:
        return [self.domains, self.pages, self.words, self.subwords, self.soft_words, self.allow]

    def files(self) -> list[str]:
        return [path for entries in self._lists() for path in list_paths(entries)]

    def open(self) -> Apply:
        if not any(self._lists()):
            raise RecipeError(
                "url: no list is given; name files with domains, pages, words, subwords, soft_words"
            )
        domains, more_pages = domain_entries(read_entries(self.domains, "domains"))
        pages = url_entries(read_entries(self.pages, "urls"))
        allowed, _ = domain_entries(read_entries(self.allow, "domains"))
        tables = (
            hash_set(domains),
            hash_set(pa.concat_arrays([pages, more_pages])),
            hash_set(word_entries(read_entries(self.words, "*words*"))),
            hash_set(word_entries(read_entries(self.soft_words, "*words*"))),
            hash_set(allowed),
        )
        pattern = _alternation(word_entries(read_entries(self.subwords, "*words*")).to_pylist())
        soft_threshold = self.soft_threshold

        def apply(table: pa.Table, signals: Signals) -> OpResult:
            urls = table["url"]
            data, offsets = string_buffers(urls)
            found = np.zeros((len(offsets) - 1, 5), np.int64)
            _match(data, offsets, *tables, np.zeros(_MAX_WORDS, np.uint64), found)
            hits = {
                "domain": found[:, _DOMAIN],
                "page": found[:, _PAGE],
                "word": found[:, _WORDS],
                "soft_words": found[:, _SOFT],
            }
            if pattern:
                hits["subword"] = _subwords(urls, pattern)
            allowed = found[:, 4] > 0
            failures = []
            for rule, counts in hits.items():
                least = soft_threshold if rule == "soft_words" else 1
                mask = (counts >= least) & ~allowed
                failures.append(Failure(f"url.{rule}", mask, counts.astype(np.float64), least))
            return OpResult(failures=failures)

        return apply


def _alternation(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words)))


def _subwords(urls: pa.Array | pa.ChunkedArray, pattern: str) -> np.ndarray:
    """1 where the URL's letters and digits, run together, hold one of the words."""
    squeezed = pc.replace_substring_regex(pc.ascii_lower(urls), r"[^a-z0-9]+", "")
    found = pc.fill_null(pc.match_substring_regex(squeezed, pattern), False)
    return np.asarray(found).astype(np.int64)


@njit(cache=True, nogil=True, boundscheck=False)
def _match(  # type: ignore[no-untyped-def]
    data, offsets, domains, pages, words, soft_words, allow, seen, found
):
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        host, stop = _host(data, begin, end)
        for at in range(host, stop):
            if at == host or data[at - 1] == 46:
                value = hash_bytes(data, at, stop)
                found[row, 0] += contains(domains, value)
                found[row, 4] += contains(allow, value)
        found[row, 1] = _listed_page(data, host, end, pages)
        found[row, 2] = _distinct_words(data, begin, end, words, seen)
        found[row, 3] = _distinct_words(data, begin, end, soft_words, seen)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _host(data, begin, end):  # type: ignore[no-untyped-def]
    """[begin, end) of the host: after scheme and user, before port and path."""
    at = begin
    for i in range(begin, min(end - 2, begin + 16)):
        if data[i] == 58 and data[i + 1] == 47 and data[i + 2] == 47:
            at = i + 3
            break
    stop = at
    while stop < end and data[stop] != 47 and data[stop] != 63 and data[stop] != 35:
        if data[stop] == 64:  # user@
            at = stop + 1
        stop += 1
    for i in range(at, stop):
        if data[i] == 58:
            stop = i
            break
    while stop > at and data[stop - 1] == 46:
        stop -= 1
    return at, stop


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _listed_page(data, host, end, pages):  # type: ignore[no-untyped-def]
    """1 when the URL without scheme and `www.`, or its part before a `/` or `?`, is listed."""
    at = host
    if end - at > 4 and data[at] | 32 == 119 and data[at + 1] | 32 == 119:
        if data[at + 2] | 32 == 119 and data[at + 3] == 46:
            at += 4
    value = np.uint64(14695981039346656037)
    while at < end and data[at] != 35:
        if (data[at] == 47 or data[at] == 63) and contains(pages, finish(value)):
            return 1
        value = hash_step(value, data[at])
        at += 1
    return int(contains(pages, finish(value)))


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _distinct_words(data, begin, end, words, seen):  # type: ignore[no-untyped-def]
    """How many different listed words are whole runs of letters and digits here."""
    if len(words) <= 2 and words[0] == 0 and words[1] == 0:
        return 0
    count, start = 0, -1
    for at in range(begin, end + 1):
        inside = False
        if at < end:
            low = data[at] | 32
            inside = 97 <= low <= 122 or 48 <= data[at] <= 57
        if inside:
            if start < 0:
                start = at
        elif start >= 0:
            value = hash_bytes(data, start, at)
            start = -1
            if contains(words, value):
                known = False
                for k in range(count):
                    known |= seen[k] == value
                if not known and count < len(seen):
                    seen[count] = value
                    count += 1
    return count
