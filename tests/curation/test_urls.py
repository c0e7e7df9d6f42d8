"""Op `url`: lists in all their shapes, hosts in all of theirs."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.ops import parse_op
from gristmill.errors import GristmillError


def hits(options: dict[str, Any], urls: list[str | None]) -> dict[str, list[int]]:
    op = parse_op({"url": options})
    result = op.open()(pa.table({"url": pa.array(urls, pa.string())}), {})
    return {
        failure.rule.removeprefix("url."): failure.mask.nonzero()[0].tolist()
        for failure in result.failures
        if failure.mask.any()
    }


def lines(path: Path, *entries: str) -> str:
    path.write_text("\n".join(entries) + "\n")
    return str(path)


def test_domains_and_all_below_them(tmp_path: Path) -> None:
    domains = lines(
        tmp_path / "domains",
        "# a comment", "Bad.example", "*.star.example", "||block.example^",
        "0.0.0.0 hosts.example # x", "http://slash.example/", "path.example/part", "1.2.3.4",
    )  # fmt: skip
    urls = [
        "http://bad.example/x",
        "https://WWW.Sub.BAD.example:8080/",
        "http://user:pw@bad.example./",
        "http://notbad.example/",
        "http://bad.example.org/",
        "http://a.star.example",
        "http://block.example",
        "http://hosts.example",
        "http://slash.example",
        "http://path.example/other",
        "http://path.example/part/of",
        "http://1.2.3.4/x",
        "http://good.example/?u=http://bad.example/",
        "bad.example/no-scheme",
        None,
        "",
        "://",
        "http://",
        "http://bad.example#f",
    ]
    assert hits({"domains": domains}, urls) == {
        "domain": [0, 1, 2, 5, 6, 7, 8, 11, 13, 18],
        "page": [10],
    }


def test_pages_and_what_lies_below(tmp_path: Path) -> None:
    pages = lines(
        tmp_path / "urls", "a.example/One/two/", "https://www.b.example/q?x=1", "c.example"
    )
    urls = [
        "https://www.A.example/one/two",
        "http://a.example/one/two/three",
        "http://a.example/one/two?z",
        "http://a.example/one/twofold",
        "http://b.example/q?x=1#frag",
        "http://b.example/q?x=12",
        "http://c.example/any",
        "http://x.c.example/any",
    ]
    assert hits({"pages": pages}, urls) == {"page": [0, 1, 2, 4, 6]}


def test_words_soft_words_and_subwords(tmp_path: Path) -> None:
    options = {
        "words": lines(tmp_path / "w", "evil", "two words"),
        "soft_words": lines(tmp_path / "s", "one", "two", "three"),
        "subwords": lines(tmp_path / "b", "inn er", "a.c"),
    }
    urls = [
        "http://x.example/an-EVIL_thing",
        "http://x.example/evils",
        "http://x.example/twowords",
        "http://x.example/one/ONE",
        "http://x.example/one/two",
        "http://x.example/be-in-ner-ity",
        "http://x.example/abc",
        "http://x.example/a-c",
    ]
    assert hits(options, urls) == {"word": [0, 2], "soft_words": [4], "subword": [5, 7]}
    assert hits({**options, "soft_threshold": 1}, urls)["soft_words"] == [3, 4]


def test_allowed_domains_are_never_dropped(tmp_path: Path) -> None:
    options = {
        "domains": lines(tmp_path / "d", "example"),
        "allow": lines(tmp_path / "a", "good.example"),
    }
    assert hits(options, ["http://x.example", "http://www.good.example"]) == {"domain": [0]}


def test_lists_in_archives_folders_and_gzip(tmp_path: Path) -> None:
    folder = tmp_path / "ut1"
    files = {
        "adult/domains": "one.example",
        "games/domains": "two.example",
        "adult/urls": "three.example/x",
        "LICENSE": "four.example",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with tarfile.open(tmp_path / "ut1.tar.gz", "w:gz") as tar:
        tar.add(folder, "ut1")
        packed = gzip.compress(b"five.example")
        info = tarfile.TarInfo("ut1/more/domains.gz")
        info.size = len(packed)
        tar.addfile(info, io.BytesIO(packed))
    (tmp_path / "six.gz").write_bytes(gzip.compress(b"six.example"))
    urls = [f"http://{name}.example/x" for name in "one two three four five six".split()]
    archive = str(tmp_path / "ut1.tar.gz")
    assert hits({"domains": str(folder)}, urls) == {"domain": [0, 1]}
    assert hits({"domains": archive}, urls) == {"domain": [0, 1]}
    assert hits({"domains": f"{archive}#adult/domains"}, urls) == {"domain": [0]}
    assert hits({"domains": f"{archive}#domains.gz"}, urls) == {"domain": [4]}
    assert hits({"pages": archive}, urls) == {"page": [2]}
    assert hits({"domains": str(tmp_path / "six.gz")}, urls) == {"domain": [5]}
    op = parse_op({"url": {"domains": f"{archive}#adult/domains"}})
    assert op.files() == [archive]


def test_errors(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"not a tar")
    for options, words in [
        ({}, "no list is given"),
        ({"domains": str(tmp_path / "gone")}, "matches no file"),
        ({"domains": str(bad)}, "no readable tar"),
        ({"domain": "x"}, "did you mean 'domains'"),
    ]:
        with pytest.raises(GristmillError, match=words):
            hits(options, [])


def test_the_shared_lists(shared_data: Path) -> None:
    lists = shared_data / "lists"
    options = {
        "domains": [f"{lists}/ut1_blocklists.tar.gz#bank/domains"],
        "pages": [f"{lists}/fineweb_url_filters_datamap.tar.gz#urls.txt.gz"],
        "words": [f"{lists}/fineweb_url_filters_datamap.tar.gz#banned_words.txt.gz"],
    }
    urls = ["https://online.02bancorp.com/login", "https://www.example.org/", "http://x.org/2g1c"]
    assert hits(options, urls) == {"domain": [0], "word": [2]}
