"""Clusters of real pages against exact pairwise Jaccard: precision 1, recall as bands predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from scipy import sparse

from curation.minhash.step import MinhashDedup
from gristmill.store import Store
from gristmill.text.minhash import match_probability
from gristmill.text.shingles import shingle_sets
from tests.curation.minhash.corpora import documents, put_texts
from tests.run_step import run_step

SOURCES = {  # versions of one site, pages translated, news: many near-duplicates and few
    "kafka_site-00000.warc.gz": 700,
    "kafka_site-00001.warc.gz": 700,
    "httpd_manual-00000.warc.gz": 300,
    "trafilatura-00000.warc.gz": 200,
}


def texts_of(path: Path, limit: int) -> list[str]:
    texts = []
    with open(path, "rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            if len(texts) == limit:
                break
            body = record.reader.read()
            html = body.decode(detect_encoding(body), "replace")
            texts.append(extract_plain_text(html, main_content=True))
    return texts


def jaccard_matrix(texts: list[str]) -> np.ndarray:
    """Exact Jaccard of every two texts, by a sparse product: of the step's code only the sets."""
    values, bounds = shingle_sets(pa.array(texts))
    _, columns = np.unique(values, return_inverse=True)
    ones = np.ones(len(columns), np.int32)
    incidence = sparse.csr_array((ones, columns, bounds), dtype=np.int32)
    shared = (incidence @ incidence.T).toarray()
    sizes = np.diff(bounds)
    union = sizes[:, None] + sizes[None] - shared
    return np.where(union > 0, shared / np.maximum(union, 1), 0.0)


@pytest.mark.slow
def test_clusters_of_real_pages_agree_with_brute_force(shared_data: Path, tmp_path: Path) -> None:
    texts = [
        text
        for name, limit in SOURCES.items()
        for text in texts_of(shared_data / "warc" / name, limit)
    ]
    jaccard = jaccard_matrix(texts)
    store = Store(tmp_path / "store")
    put_texts(store, "web/clean", documents(texts), 400)
    run_step(
        MinhashDedup(**{"name": "web/unique", "use": "minhash_dedup", "from": "web/clean"}), store
    )

    ledger = store["web/unique"].ledger.to_table().to_pylist()
    kept = np.array([row["state"] == "kept" for row in ledger])
    for number, row in enumerate(ledger):
        if not kept[number]:  # precision 1: what the ledger says is what brute force finds
            partner = int(row["partner_id"][1:])
            assert kept[partner]
            assert row["similarity"] == jaccard[number, partner] >= 0.7

    for threshold in (0.7, 0.8, 0.9):
        first, second = np.nonzero(np.triu(jaccard >= threshold, 1))
        chances = 1 - (1 - jaccard[first, second] ** 8) ** 14
        missed = int((kept[first] & kept[second]).sum())
        expected = float((1 - chances).sum())
        print(f"J >= {threshold}: {len(first)} pairs, {missed} missed, {expected:.1f} expected")
        assert len(first) > 300
        # pairs of one page's versions are missed together, hence the slack
        assert missed <= expected + 4 * max(expected, 1) ** 0.5
        assert missed <= (1 - match_probability(threshold, 14, 8)) * len(first) + 3
