"""`@datatrove-0.10` decides as datatrove's own filters do, on real English pages.

By hand, all pages and every disagreement: `python -m tests.curation.rules.test_agreement`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from curation.ops import OpResult, parse_op
from curation.rules import evaluate, rule_set
from gristmill.text.signals import compute_signals

LEAST = 0.98  # of the pages, filter by filter and for the four in sequence
DIALECT = "@datatrove-0.10"
# the reasons that datatrove gives, by our rule's name
REASONS = {
    "gopher_quality": {
        "gopher_short_doc": "min_words",
        "gopher_long_doc": "max_words",
        "gopher_below_avg_threshold": "min_mean_word_length",
        "gopher_above_avg_threshold": "max_mean_word_length",
        "gopher_too_many_hashes": "max_hash_ratio",
        "gopher_too_many_ellipsis": "max_ellipsis_ratio",
        "gopher_too_many_bullets": "max_bullet_lines",
        "gopher_too_many_end_ellipsis": "max_ellipsis_lines",
        "gopher_below_alpha_threshold": "min_alpha_words",
        "gopher_enough_stop_words": "min_stop_words",
    },
    "gopher_repetition": {
        "empty": "min_chars",
        "dup_para_frac": "max_duplicate_paragraphs",
        "dup_para_char_frac": "max_duplicate_paragraph_chars",
        "dup_line_frac": "max_duplicate_lines",
        "dup_line_char_frac": "max_duplicate_line_chars",
        **{f"top_{n}_gram": f"max_top_{n}gram_chars" for n in (2, 3, 4)},
        **{f"duplicated_{n}_n_grams": f"max_duplicate_{n}gram_chars" for n in range(5, 11)},
    },
    "fineweb": {
        "empty": "min_terminal_lines",
        "line_punct_ratio": "min_terminal_lines",
        "short_line_ratio": "max_short_lines",
        "char_dup_ratio": "max_duplicate_line_chars",
        "list_ratio": "max_newlines",
    },
}


def english_pages(shared: Path) -> Iterator[str]:
    """Text of the shared pages that the manifest calls English, as resiliparse extracts it."""
    with gzip.open(shared / "pages_manifest.jsonl.gz", "rt", encoding="utf-8") as rows:
        languages = {row["sha1"]: row.get("lid") for row in map(json.loads, rows)}
    for path in sorted((shared / "warc").glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                body = record.reader.read()
                if languages.get(hashlib.sha1(body).hexdigest()) == "en":
                    html = bytes_to_str(body, detect_encoding(body))
                    yield extract_plain_text(html, main_content=True, alt_texts=False)


def theirs(text: str, block: Any) -> tuple[str, str]:
    """(datatrove's reason to drop, or "", and the text that it leaves)."""
    document = Document(text=text, id="page")
    decision = block.filter(document)
    return ("" if decision is True else decision[1]), document.text


def ours(name: str, texts: list[str]) -> list[str]:
    """Our first failing rule of each text, or ""."""
    chosen = rule_set(name + DIALECT)
    signals = compute_signals(pa.array(texts, pa.string()), chosen.families)
    return _first(evaluate(chosen, signals), len(texts))


def _first(failures: list[Any], size: int) -> list[str]:
    found = np.full(size, "", object)
    for failure in reversed(failures):
        found[failure.mask] = failure.rule.partition(".")[2]
    return list(found)


def _cleaned(texts: list[str], options: Any) -> tuple[list[str], list[str]]:
    """Our C4 as an op: (reasons, texts)."""
    table = pa.table({"text": pa.array(texts, pa.string())})
    result: OpResult = parse_op({"clean_lines": options}).open()(table, {})
    return _first(result.failures, len(texts)), result.columns["text"].to_pylist()


def compare(texts: list[str]) -> dict[str, list[tuple[int, str, str]]]:
    """By filter: (page, datatrove's decision, ours) where they differ; "sequence": all four."""
    blocks = {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "fineweb": FineWebQualityFilter(),
    }
    found: dict[str, list[tuple[int, str, str]]] = {}
    drops: dict[str, list[tuple[str, str]]] = {}
    for name, block in blocks.items():
        reasons = [
            REASONS[name].get(reason, reason) for reason, _ in (theirs(t, block) for t in texts)
        ]
        drops[name] = list(zip(reasons, ours(name, texts), strict=True))
        found[name] = [(i, a, b) for i, (a, b) in enumerate(drops[name]) if a != b]
    left: list[tuple[str, str]] = []
    for options, terminal in (("c4" + DIALECT, True), ("c4@fineweb", False)):
        block = C4QualityFilter(filter_no_terminal_punct=terminal)
        pairs = [theirs(text, block) for text in texts]
        reasons, cleaned = _cleaned(texts, options)
        # where several page rules fail, datatrove names the line that comes first
        found[options] = [
            (i, reason, mine)
            for i, ((reason, text), mine, own) in enumerate(
                zip(pairs, reasons, cleaned, strict=True)
            )
            if bool(reason) != bool(mine) or (not reason and text != own)
        ]
        left = [(text, own) for (_, text), own in zip(pairs, cleaned, strict=True)]
        drops[options] = [(reason, mine) for (reason, _), mine in zip(pairs, reasons, strict=True)]
    order = ("gopher_repetition", "gopher_quality", "c4@fineweb")
    last = ours("fineweb", [own for _, own in left])
    found["sequence"] = []
    for i, (text, _) in enumerate(left):
        sides = [
            next((drops[name][i][side] for name in order if drops[name][i][side]), "")
            for side in (0, 1)
        ]
        their, own = sides[0] or theirs(text, blocks["fineweb"])[0], sides[1] or last[i]
        if bool(their) != bool(own):
            found["sequence"].append((i, their, own))
    return found


def test_vectors_of_the_sequence() -> None:
    prose = "The old mill stands by the river, and its wheel still turns. " * 12
    texts = [
        prose,
        "",
        "\n",
        "- a\n" * 40,
        "Menu\nHome\n"
        + "\n".join(
            f"The {i}th page of the book was about a mill, and it was long." for i in range(40)
        ),
        *(
            sentence * 9
            for sentence in ("It's 5km/h; don't (e.g.) go! ", "{ a b c }. ", "# # word. ")
        ),
    ]
    assert {name: found for name, found in compare(texts).items() if found} == {}


@pytest.mark.slow
def test_decisions_agree_with_datatrove_on_real_pages(shared_data: Path) -> None:
    texts = list(islice(english_pages(shared_data), 0, None, 40))
    assert len(texts) > 90
    for name, differences in compare(texts).items():
        assert len(differences) <= (1 - LEAST) * len(texts), (name, differences)


if __name__ == "__main__":
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data")
    pages = list(english_pages(shared))
    for name, differences in compare(pages).items():
        print(f"{name}: {len(pages) - len(differences)} of {len(pages)} agree")
        print("  ", Counter((a, b) for _, a, b in differences), [i for i, _, _ in differences][:20])
