"""The documents that sides are measured on, extracted once and kept in `.bench/` (ignored by git).

In: `../shared/data` (or `$GRISTMILL_TEST_DATA`). Out: paths of JSONL, Parquet and WARC files.
Shown by: `python -m bench.corpora`. Limit: texts come from resiliparse's main-content mode with its
own charset guess, not from Gristmill's extractor, so that no side is measured on its own output.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bench.harness import BENCH, ROOT

CORPORA = BENCH / "corpora"
MEGABYTE = 1_000_000


def source_data() -> Path:
    """The folder of shared real data."""
    path = Path(os.environ.get("GRISTMILL_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not path.is_dir():
        raise SystemExit(f"no data at {path}: set GRISTMILL_TEST_DATA to the shared data folder")
    return path


def warcs() -> list[Path]:
    """The real pages, as they are."""
    return sorted((source_data() / "warc").glob("*.warc.gz"))


def publish(path: Path, temporary: Path) -> Path:
    temporary.rename(path)
    return path


def fresh_path(name: str) -> tuple[Path, Path, bool]:
    """(final path, temporary path, is it there already)."""
    CORPORA.mkdir(parents=True, exist_ok=True)
    path = CORPORA / name
    return path, path.with_suffix(path.suffix + ".tmp"), path.exists()


def _records() -> Iterator[tuple[str, str, bytes]]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for path in warcs():
        with path.open("rb") as stream:
            records = ArchiveIterator(stream, record_types=WarcRecordType.response)
            for number, record in enumerate(records):
                url = record.headers["WARC-Target-URI"]
                yield f"{path.name}/{number}", url, record.reader.read()


def web() -> Path:
    """Every page of the WARC set that has text: JSONL of id, url, text."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding

    path, temporary, there = fresh_path("web.jsonl")
    if there:
        return path
    with temporary.open("w", encoding="utf-8") as out:
        for name, url, payload in _records():
            html = payload.decode(detect_encoding(payload), "replace")
            text = extract_plain_text(html, main_content=True)
            text = text.encode("utf-8", "replace").decode()
            if text.strip():
                row = {"id": name, "url": url, "text": text}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return publish(path, temporary)


def sets() -> Path:
    """The shared text sets (news, reviews, speeches, novels, the declaration in 387 languages)."""
    path, temporary, there = fresh_path("sets.jsonl")
    if there:
        return path
    with temporary.open("w", encoding="utf-8") as out:
        for source in sorted((source_data() / "text").glob("*.jsonl.gz")):
            with gzip.open(source, "rt", encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    kept = {"id": f"{source.stem}/{row['id']}", "url": "", "text": row["text"]}
                    out.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return publish(path, temporary)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def hash_order(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def sample(source: Path, megabytes: float) -> Path:
    """Documents of `source` in hash order until `megabytes` of UTF-8 text are reached."""
    path, temporary, there = fresh_path(f"{source.stem}-{megabytes:g}mb.jsonl")
    if there:
        return path
    taken = 0
    with temporary.open("w", encoding="utf-8") as out:
        for row in sorted(rows(source), key=lambda row: hash_order(row["id"])):
            if taken >= megabytes * MEGABYTE:
                break
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            taken += len(row["text"].encode())
    return publish(path, temporary)


def describe(path: Path) -> dict[str, Any]:
    """Documents, bytes of UTF-8 and a digest, for a claim's record."""
    digest, documents, size = hashlib.blake2b(digest_size=6), 0, 0
    for row in rows(path):
        text = row["text"].encode()
        digest.update(text)
        documents, size = documents + 1, size + len(text)
    return {
        "name": path.stem,
        "documents": documents,
        "bytes": size,
        "digest": digest.hexdigest(),
    }


def parquet(source: Path) -> Path:
    """The same rows as one Parquet file, with the columns that a document has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, temporary, there = fresh_path(f"parquet/{source.stem}.parquet")
    if there:
        return path
    path.parent.mkdir(exist_ok=True)
    documents = [
        {**row, "date": "2026-01-01", "source": row["id"].partition("-")[0]} for row in rows(source)
    ]
    pq.write_table(pa.Table.from_pylist(documents), temporary, row_group_size=1000)
    return publish(path, temporary)


# --- more of the same kind: copies whose rarer words are exchanged -----------------------------

_WORD = re.compile(rb"&\w+;|[A-Za-z]{4,32}")  # an entity is left alone
_KEPT = frozenset(
    b"that with this from have they will your what when were been there their which about more "
    b"would other could than then them into some only also over such most these after first".split()
)


class Exchange:
    """A word for a word, one to one within a copy, same length and case: word lengths, repeats and
    stop words stay as they are, 5-word shingles do not."""

    def __init__(self, copy: int) -> None:
        self._key = copy.to_bytes(4, "little")
        self.word = cache(self._word)

    def _word(self, word: bytes) -> bytes:
        lower = word.lower()
        if lower in _KEPT or word.startswith(b"&"):
            return word
        digest = hashlib.blake2b(lower, key=self._key, digest_size=2 * len(lower)).digest()
        # A vowel for a vowel and a consonant for a consonant, so that it stays a word to the eye
        # of a language model and of a tokenizer.
        vowels, consonants = b"aeiou", b"bcdfghjklmnpqrstvwxyz"
        out = bytearray()
        for number, letter in enumerate(word):
            pool = vowels if letter | 32 in vowels else consonants
            new = pool[digest[number] % len(pool)] if digest[-1 - number] < 64 else letter | 32
            out.append(new if letter & 32 else new & ~32)
        return bytes(out)

    def text(self, text: bytes) -> bytes:
        """Exchange every word of a text."""
        return _WORD.sub(lambda match: self.word(match.group()), text)


def more(source: Path, copies: int) -> Path:
    """`copies` times the documents of a JSONL file; each copy but the first with other words."""
    if copies == 1:
        return source
    path, temporary, there = fresh_path(f"{source.stem}-x{copies}.jsonl")
    if there:
        return path
    with temporary.open("w", encoding="utf-8") as out:
        for copy in range(copies):
            exchange = Exchange(copy)
            for row in rows(source):
                text = row["text"]
                if copy:
                    text = exchange.text(text.encode()).decode()
                new = {"id": f"{copy}/{row['id']}", "url": f"{row['url']}?{copy}", "text": text}
                out.write(json.dumps(new, ensure_ascii=False) + "\n")
    return publish(path, temporary)


if __name__ == "__main__":
    for corpus in (web(), sets()):
        print(describe(corpus))
