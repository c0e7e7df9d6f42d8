"""The demo's crawl: deterministic, complete, readable, its pages mostly unlike each other."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from datasketch import MinHash, MinHashLSH
from fastwarc.warc import ArchiveIterator, WarcRecordType

from gristmill.errors import GristmillError
from pipelines.demo import damage, plant
from pipelines.demo.corpus import articles, benchmark, hosts
from pipelines.demo.generate import SHARES, Truth, _drafts, generate, load

PAGES = 400
_ROLES = ("site", "mirror", "spam", "foreign")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return generate(tmp_path_factory.mktemp("demo"), seed=1, pages=PAGES)


def _bytes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes(truth: Truth, tmp_path: Path) -> None:
    generate(tmp_path / "again", seed=1, pages=PAGES)
    generate(tmp_path / "other", seed=2, pages=PAGES)
    first = _bytes(truth.path.parent)
    assert _bytes(tmp_path / "again") == first
    assert _bytes(tmp_path / "other")["truth.jsonl"] != first["truth.jsonl"]


def test_second_run_leaves_files_alone_and_sweeps_stale_ones(tmp_path: Path) -> None:
    generate(tmp_path, pages=2000)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "crawl").iterdir()}
    generate(tmp_path, pages=2000)
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "crawl").iterdir()}
    fewer = generate(tmp_path, pages=PAGES)
    left = {path.name for path in (tmp_path / "crawl").iterdir()}
    assert left == {r.file for r in fewer.records}
    assert len(left) < len(stamps)


def test_every_kind_and_variant_is_planted(truth: Truth, tmp_path: Path) -> None:
    counts = truth.counts()
    assert set(counts) == {"unplanted", *SHARES}
    assert sum(counts.values()) == PAGES == len({r.url for r in truth.records})
    full = generate(tmp_path, pages=3000).records
    assert {r.detail["form"] for r in full if r.kind == "spam"} == {
        "keywords", "repetition", "lorem", "links", "symbols", "teasers"
    }  # fmt: skip
    for kind, faults in damage.FAULTS.items():
        assert {r.detail["fault"] for r in full if r.kind == kind} == set(faults)
    quoted = {r.detail["item"] for r in full if r.kind == "contaminated"}
    long = {i.id for i in benchmark() if len(i.question.split()) >= plant.MIN_WORDS}
    assert quoted == long < {i.id for i in benchmark()}
    assert {r.host for r in full} == {h.name for role in _ROLES for h in hosts(role)}


def test_truth_is_read_back(truth: Truth) -> None:
    assert load(truth.path) == truth.records


def test_partners_exist_and_similarity_is_told(truth: Truth) -> None:
    urls = {r.url: r.kind for r in truth.records}
    for record in truth.records:
        if record.kind in ("exact_duplicate", "near_duplicate"):
            assert urls[record.partner] == "unplanted"
        if record.kind == "near_duplicate":
            assert 0.8 <= record.detail["jaccard"] < 1


def test_fastwarc_reads_every_record_at_its_place(truth: Truth) -> None:
    found = {}
    for path in sorted((truth.path.parent / "crawl").iterdir()):
        with path.open("rb") as stream:
            records = ArchiveIterator(
                stream, record_types=WarcRecordType.response, parse_http=False
            )
            for record in records:
                found[record.headers["WARC-Target-URI"]] = (path.name, record.stream_pos)
                url = record.headers["WARC-Target-URI"]
                fault = _fault(truth, url)
                assert record.verify_block_digest() == (fault != "truncated")
                if fault not in ("truncated", "not_http", "cut_headers"):
                    record.parse_http()
                    assert record.verify_payload_digest()
    assert found == {r.url: (r.file, r.offset) for r in truth.records}


def _fault(truth: Truth, url: str) -> str:
    return next(str(r.detail.get("fault", "")) for r in truth.records if r.url == url)


def test_gzip_members_are_where_the_truth_says(truth: Truth) -> None:
    record = next(r for r in truth.records if r.kind == "unplanted")
    data = (truth.path.parent / "crawl" / record.file).read_bytes()
    member = gzip.decompress(data[record.offset : record.offset + record.length])
    assert member.startswith(b"WARC/1.0\r\nWARC-Type: response\r\n")
    assert f"WARC-Target-URI: {record.url}\r\n".encode() in member


def test_unplanted_pages_are_unlike_each_other() -> None:
    texts = [d.page.text() for d in _drafts(0, 3000) if d.kind == "unplanted"]
    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    alike = 0
    for number, text in enumerate(texts):
        words = text.lower().split()
        shingles = {" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))}
        signature = MinHash(num_perm=112)
        signature.update_batch(sorted(shingles))
        near = [o for o in lsh.query(signature) if plant.jaccard(texts[o], text) >= 0.8]
        alike += bool(near)
        lsh.insert(number, signature)
    assert alike / len(texts) < 0.02


def test_articles_are_what_the_licence_says() -> None:
    assert len(articles()) >= 60
    per_language = Counter(a.language for a in articles())
    assert per_language["en"] >= 30 and len(per_language) >= 8
    kept = [a for a in articles() if a.language in ("en", "de", "fr", "es")]
    words = [sum(len(p.split()) for p in a.paragraphs) for a in kept]
    assert min(words) >= 200 and max(words) <= 600


def test_too_few_pages_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GristmillError, match=r"pages=10.*200 or more"):
        generate(tmp_path, pages=10)
