"""WARC: every record once, through all the ways in which crawls break."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path

import brotli
import fsspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import curation.readers.bytestream as bytestream
from curation.readers import RAW, mismatched, plan_splits, read, read_record
from tests.curation.readers.warc_files import (
    http,
    member,
    numbers,
    page,
    pages,
    record,
    rows_of,
    write,
)


def errors(rows: list[dict[str, object]]) -> list[object]:
    return [row["error"] for row in rows]


@pytest.mark.parametrize("packed", [True, False])
def test_records_come_once_with_their_fields(tmp_path: Path, packed: bool) -> None:
    parts = [record(b"software: x\r\n", kind="warcinfo", content_type="application/warc-fields")]
    parts += [*pages(3), record(b"GET / HTTP/1.1\r\n\r\n", kind="request")]
    parts.append(record("Grüße".encode(), 7, "conversion", content_type="text/plain"))
    name = "crawl.warc.gz" if packed else "crawl.warc"
    write(tmp_path / name, [member(part) for part in parts] if packed else parts)
    (split,) = plan_splits({"warc": str(tmp_path)})
    reading = read(split)
    rows = pa.Table.from_batches(list(reading), RAW).to_pylist()
    assert numbers(rows) == [0, 1, 2, 7]
    assert rows[1]["payload"] == page(1)
    assert rows[1]["payload_sha1"] == hashlib.sha1(page(1)).hexdigest()
    assert rows[1]["content_type"] == "text/html"
    assert rows[1]["date"] == "2024-01-02T03:04:05Z"
    assert rows[3]["text"] == "Grüße" and rows[3]["payload"] is None
    assert reading.report["skipped"] == {"warcinfo": 1, "request": 1}
    again = read_record({"warc": str(tmp_path)}, name, rows[2]["offset"], rows[2]["length"])
    assert again is not None and again["payload"][0].as_py() == page(2)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("parts", [2, 5, 40])
def test_ranges_meet_and_give_what_the_whole_gives(
    tmp_path: Path, packed: bool, parts: int
) -> None:
    made = pages(60, 3000)
    path = write(
        tmp_path / ("a.warc.gz" if packed else "a.warc"),
        [member(part) for part in made] if packed else made,
    )
    whole = rows_of({"warc": str(path)})
    unit = path.stat().st_size // parts
    splits = plan_splits({"warc": str(path)}, unit if packed else unit // 4)
    assert len(splits) >= parts
    readings = [read(split) for split in splits]
    cut = [row for reading in readings for batch in reading for row in batch.to_pylist()]
    assert cut == whole and len(cut) == 60
    assert mismatched(splits, [reading.report for reading in readings]) == []


def test_a_warc_inside_a_warc_is_noticed_and_read_whole(tmp_path: Path) -> None:
    inner = b"".join(member(part) for part in pages(40, 3000))
    block = http(inner, "Content-Type: application/gzip\r\n")
    stored = zlib.compressobj(0, zlib.DEFLATED, 31)  # stored, so that the inner magic is visible
    outer = stored.compress(record(block, 99)) + stored.flush()
    path = write(tmp_path / "a.warc.gz", [member(pages(1)[0]), outer, member(pages(2)[1])])
    splits = plan_splits({"warc": str(path)}, path.stat().st_size // 4)
    readings = [read(split) for split in splits]
    for reading in readings:
        list(reading)
    ((indices, whole),) = mismatched(splits, [reading.report for reading in readings])
    assert indices == list(range(len(splits)))
    assert [row["url"] for batch in read(whole) for row in batch.to_pylist()] == [
        f"http://site.example/{number}" for number in (0, 99, 1)
    ]


def test_several_records_in_one_member_and_records_over_members(tmp_path: Path) -> None:
    made = b"".join(pages(30, 3000))
    write(tmp_path / "one.warc.gz", [member(made)])
    blocks = [member(made[at : at + 1000]) for at in range(0, len(made), 1000)]
    write(tmp_path / "two.warc.gz", [*blocks, member(b"")])
    for name in ("one", "two"):
        assert numbers(rows_of({"warc": str(tmp_path / f"{name}.warc.gz")})) == list(range(30))


def test_truncated_member_keeps_its_url_and_the_rest_goes_on(tmp_path: Path) -> None:
    made = [member(part) for part in pages(5, 4000)]
    cut = made[2][: len(made[2]) // 2]
    path = write(tmp_path / "a.warc.gz", [made[0], made[1], cut, made[3], made[4]])
    rows = rows_of({"warc": str(path)})
    assert numbers(rows) == [0, 1, 3, 4]
    (broken,) = [row for row in rows if row["error"]]
    assert broken["error"] in ("corrupt", "truncated")
    assert broken["url"] == "http://site.example/2" and broken["payload"] is None
    end = write(tmp_path / "b.warc.gz", [made[0], cut])
    assert errors(rows_of({"warc": str(end)})) == [None, "truncated"]


def test_damage_inside_a_member_and_between_members(tmp_path: Path) -> None:
    made = [bytearray(member(part)) for part in pages(4, 4000)]
    made[1][len(made[1]) // 2] ^= 0x55
    path = write(tmp_path / "a.warc.gz", [*made[:2], b"garbage in between", *made[2:]])
    rows = rows_of({"warc": str(path)})
    assert numbers(rows) == [0, 2, 3]
    assert [row["error"] for row in rows if row["error"]] == ["corrupt"]
    padded = write(tmp_path / "b.warc.gz", [made[0], bytes(5000), made[2], b"tail"])
    assert errors(rows_of({"warc": str(padded)})) == [None, None, "corrupt"]


@pytest.mark.parametrize("packed", ["members", "one", "plain"])
@pytest.mark.parametrize("wrong", [10, 5000, 10**15, "", "-4", "12x"])
def test_wrong_lengths_lose_no_record(tmp_path: Path, packed: str, wrong: int | str) -> None:
    made = pages(4, 2000)
    made[1] = record(http(page(1, 2000)), 1, length=wrong)
    parts = [member(part) for part in made]
    if packed == "one":
        parts = [member(b"".join(made))]
    name = "a.warc" if packed == "plain" else "a.warc.gz"
    path = write(tmp_path / name, made if packed == "plain" else parts)
    rows = rows_of({"warc": str(path)})
    assert numbers(rows) == [0, 1, 2, 3]
    assert [row["payload"] for row in rows] == [page(i, 2000) for i in range(4)]


def test_broken_headers(tmp_path: Path) -> None:
    blocks = [
        b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + page(0),  # bare line feeds
        b"HTTP/1.1 200 OK\r\nContent-Type\r\n: x\r\n\xff\xfe: y\r\n\r\n" + page(1),  # odd lines
        page(2),  # no header at all
        b"\x00\x01\x02" * 50,  # nothing that could be one
        http(page(4), status="abc"),
        http(page(5), status="404 Not Found"),
        http(page(6), "Content-Type: text/html; Charset='ISO-8859-2'\r\nContent-Length: 3\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",  # header only
        b"",
    ]
    path = write(tmp_path / "a.warc", [record(block, i) for i, block in enumerate(blocks)])
    rows = rows_of({"warc": str(path)})
    assert errors(rows) == [
        None, None, None, "bad_http", None, "http_status", None, "empty", "empty",
    ]  # fmt: skip
    assert [rows[i]["payload"] for i in (0, 1, 2, 4, 6)] == [page(i) for i in (0, 1, 2, 4, 6)]
    assert rows[6]["charset"] == "iso-8859-2"
    bad = b"WARC/1.0\r\nno type here\r\n\r\nbody\r\n\r\n"
    path = write(tmp_path / "b.warc", [pages(1)[0], bad, b"stray\r\n", pages(2)[1]])
    assert errors(rows_of({"warc": str(path)})) == [None, "bad_warc_header", None]
    endless = b"WARC/1.0\r\nWARC-Type: response\r\n" + b"x: y\r\n" * 20_000
    path = write(tmp_path / "c.warc", [pages(1)[0], endless, pages(2)[1]])
    assert errors(rows_of({"warc": str(path)})) == [None, "bad_warc_header", None]


def test_transfer_and_content_encodings(tmp_path: Path) -> None:
    body = page(0, 5000)
    raw_deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    chunks = b"".join(
        b"%x;ext=1\r\n%b\r\n" % (len(body[at : at + 700]), body[at : at + 700])
        for at in range(0, len(body), 700)
    )
    encoded = [
        ("Transfer-Encoding: chunked\r\n", chunks + b"0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", body),  # undone by the crawler
        ("Content-Encoding: gzip\r\n", gzip.compress(body)),
        ("Content-Encoding: gzip\r\n", body),  # undone by the crawler
        ("Content-Encoding: deflate\r\n", zlib.compress(body)),
        ("Content-Encoding: deflate\r\n", raw_deflate.compress(body) + raw_deflate.flush()),
        ("Content-Encoding: br\r\n", brotli.compress(body)),
        ("Content-Encoding: zstd\r\n", pa.Codec("zstd").compress(body, asbytes=True)),
    ]
    made = [
        record(http(data, "Content-Type: text/html\r\n" + more), i)
        for i, (more, data) in enumerate(encoded)
    ]
    rows = rows_of({"warc": str(write(tmp_path / "a.warc", made))})
    assert errors(rows) == [None] * len(encoded)
    assert all(row["payload"] == body for row in rows)
    sha1 = [row["payload_sha1"] for row in rows]
    assert sha1[2] == hashlib.sha1(encoded[2][1]).hexdigest()  # of the body as in the file
    broken = [
        http(b"\x1f\x8b not gzip", "Content-Encoding: gzip\r\n"),
        http(b"abc", "Content-Encoding: compress\r\n"),
    ]
    made = [record(block, i) for i, block in enumerate(broken)]
    rows = rows_of({"warc": str(write(tmp_path / "b.warc", made))})
    assert errors(rows) == ["bad_encoding", "bad_encoding"]


def test_bombs_are_counted_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.readers.warc.MAX_RECORD_BYTES", 1 << 20)
    huge = bytes(8 << 20)
    made = [
        record(http(gzip.compress(huge), "Content-Encoding: gzip\r\n"), 0),
        record(http(brotli.compress(huge), "Content-Encoding: br\r\n"), 1),
        record(http(huge), 2),
        pages(4)[3],
    ]
    for name, parts in (("a.warc.gz", [member(part) for part in made]), ("b.warc", made)):
        rows = rows_of({"warc": str(write(tmp_path / name, parts))})
        assert errors(rows) == ["too_large"] * 3 + [None]
    # A member that inflates without end is given up, and the next one found.
    monkeypatch.setattr(bytestream, "_MAX_SKIP", 4 << 20)
    bomb = member(record(http(bytes(64 << 20)), 0))
    rows = rows_of({"warc": str(write(tmp_path / "c.warc.gz", [bomb, member(pages(2)[1])]))})
    assert errors(rows) == ["too_large", None]


def test_digest_of_the_header_is_taken_when_it_can_be_the_body_s(tmp_path: Path) -> None:
    given = "WARC-Payload-Digest: sha1:" + "A" * 32 + "\r\n"
    same = given + "WARC-Block-Digest: sha1:" + "A" * 32 + "\r\n"  # ClueWeb09's quirk
    odd = "WARC-Payload-Digest: sha1:123\r\n"
    made = [record(http(page(i)), i, more=more) for i, more in enumerate((given, same, odd))]
    rows = rows_of({"warc": str(write(tmp_path / "a.warc", made))})
    real = [hashlib.sha1(page(i)).hexdigest() for i in range(3)]
    assert [row["payload_sha1"] for row in rows] == ["0" * 40, real[1], real[2]]


def test_not_a_warc_is_one_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.warc.gz", [b"this is no gzip file at all" * 100])
    assert errors(rows_of({"warc": str(path)})) == ["corrupt"]
    path = write(tmp_path / "b.warc.gz", [member(b"<html>no record</html>" * 1000)])
    assert errors(rows_of({"warc": str(path)})) == ["not_warc"]
    path = write(tmp_path / "c.warc", [b"hello\r\n" * 1000, pages(1)[0]])
    assert errors(rows_of({"warc": str(path)})) == ["not_warc", None]
    assert rows_of({"warc": str(write(tmp_path / "d.warc.gz", []))}) == []


@given(st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_bytes_never_stop_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    packed = data.draw(st.booleans())
    made = [member(part) if packed else part for part in pages(6, 1500)]
    blob = bytearray(b"".join(made))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(blob) - 1))
        action = data.draw(st.sampled_from(["flip", "cut", "insert", "remove"]))
        if action == "flip":
            blob[at] ^= data.draw(st.integers(1, 255))
        elif action == "cut":
            del blob[at:]
        elif action == "insert":
            blob[at:at] = data.draw(st.binary(min_size=1, max_size=40))
        else:
            del blob[at : at + data.draw(st.integers(1, 200))]
        blob = blob or bytearray(b"x")
    path = write(tmp_path / ("a.warc.gz" if packed else "a.warc"), [bytes(blob)])
    whole = rows_of({"warc": str(path)})
    sound = {row["payload"] for row in whole if row["error"] is None}
    untouched = [i for i, part in enumerate(made) if part in bytes(blob)]
    if packed:
        assert {page(i, 1500) for i in untouched} <= sound
    # Ranges either give the same rows or say that they did not meet.
    splits = plan_splits({"warc": str(path)}, max(200, len(blob) // (3 if packed else 12)))
    readings = [read(split) for split in splits]
    cut = [row for reading in readings for batch in reading for row in batch.to_pylist()]
    again = mismatched(splits, [reading.report for reading in readings])
    good = [row["payload"] for row in cut if row["error"] is None]
    if not again and packed:
        assert good == [row["payload"] for row in whole if row["error"] is None]


def test_real_oddities(shared_data: Path) -> None:
    folder = shared_data / "warc_real"
    counted = {
        "dolma__sample-0000.warc.gz": 22,
        "dolma__sample-0001.warc.gz": 15,
        "resiliparse__clueweb-quirk.warc.gz": 29,
        "resiliparse__warcfile.warc": 16,
        "resiliparse__warcfile.warc.gz": 16,
        "resiliparse__warcfile.warc.lz4": 16,
        "whirlwind__whirlwind.warc": 1,
        "whirlwind__whirlwind.warc.gz": 1,
    }
    for name, count in counted.items():
        rows = rows_of({"warc": str(folder / name)})
        assert errors(rows) == [None] * count, name
    assert errors(rows_of({"warc": str(folder / "resiliparse__clipped.warc.gz")})) == ["truncated"]
    (wet,) = rows_of({"wet": str(folder / "whirlwind__whirlwind.warc.wet.gz")})
    assert json.loads(wet["metadata"])["languages"] and len(wet["text"]) > 1000


def test_same_records_as_fastwarc(shared_data: Path) -> None:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    path = str(shared_data / "warc" / "readability-00000.warc.gz")
    theirs = [
        (record.headers["WARC-Target-URI"], record.reader.read(), record.stream_pos)
        for record in ArchiveIterator(path, record_types=WarcRecordType.response)
    ]
    rows = rows_of({"warc": path}, 1 << 20)
    assert [(row["url"], row["payload"], row["offset"]) for row in rows] == theirs
    assert all(row["payload_sha1"] == hashlib.sha1(row["payload"]).hexdigest() for row in rows)


def test_remote_files_are_cut_too(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/crawl/a.warc.gz", b"".join(member(part) for part in pages(20, 3000)))
    try:
        splits = plan_splits({"warc": "memory://crawl/*.warc.gz"}, 4000)
        readings = [read(split) for split in splits]
        rows = [row for reading in readings for batch in reading for row in batch.to_pylist()]
        assert len(splits) > 3 and numbers(rows) == list(range(20))
        assert mismatched(splits, [reading.report for reading in readings]) == []
    finally:
        memory.rm("/crawl", recursive=True)
