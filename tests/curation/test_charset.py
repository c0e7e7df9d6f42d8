"""Charset: what is declared, what the bytes say, and who wins."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.charset import codec_for, decode
from curation.readers import plan_splits, read

GERMAN = "Über die Straße läuft ein größerer Fuchs, während der Bär schläft und träumt."
RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."
CHINESE = "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。"


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (GERMAN, "cp1252", "ISO-8859-1"),
        (GERMAN, "iso8859-15", "iso-8859-15"),
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (JAPANESE, "cp932", "Shift_JIS"),
        (JAPANESE, "euc_jp", "euc-jp"),
        (JAPANESE, "iso2022_jp", "ISO-2022-JP"),
        (KOREAN, "cp949", "ks_c_5601-1987"),
        (CHINESE, "gb18030", "gb2312"),
        (CHINESE, "utf-16-le", "utf-16"),
    ],
)
def test_declared_charsets(text: str, codec: str, label: str) -> None:
    if codec_for(label) is None:
        pytest.skip(f"{label} is no label of the standard")
    body = text.encode(codec)
    assert decode(body, label).text == text
    if codec.startswith("utf-16"):
        return
    meta = f'<html><head><meta charset="{label}">'.encode() + body
    assert decode(meta).text.endswith(text)
    http_equiv = f"<meta http-equiv=Content-Type content='text/html; charset={label}'>".encode()
    assert decode(http_equiv + body).text.endswith(text)
    assert decode(f'<?xml version="1.0" encoding="{label}"?>'.encode() + body).text.endswith(text)


@pytest.mark.parametrize("codec", ["cp1251", "cp932", "euc_jp", "gb18030", "iso2022_jp"])
def test_undeclared_charsets_are_guessed(codec: str) -> None:
    text = {"cp1251": RUSSIAN, "gb18030": CHINESE}.get(codec, JAPANESE)
    assert decode((text * 5).encode(codec)).text == text * 5


def test_byte_order_marks_come_first() -> None:
    assert decode(b"\xef\xbb\xbf" + GERMAN.encode(), "iso-8859-1") == (GERMAN, "utf-8", 0)
    assert decode(b"\xff\xfe" + GERMAN.encode("utf-16-le"), "utf-8").text == GERMAN
    assert decode(b"\xfe\xff" + GERMAN.encode("utf-16-be")).text == GERMAN


def test_bytes_have_the_last_word() -> None:
    assert decode(GERMAN.encode(), "iso-8859-1").text == GERMAN  # valid UTF-8 is no accident
    assert decode(KOREAN.encode(), "euc-kr").text == KOREAN
    assert decode("联通".encode("gbk"), "gbk").text == "联通"  # four bytes that are valid UTF-8 too
    wrong = (GERMAN * 3).encode("cp1252")
    assert decode(wrong, "utf-8").text == GERMAN * 3
    one_bad = (GERMAN * 9).encode() + b"\xc3"  # cut inside a character
    assert decode(one_bad, "utf-8").text == GERMAN * 9 + "�"


def test_header_before_meta_and_comments_do_not_count() -> None:
    body = b'<meta charset="koi8-r">' + RUSSIAN.encode("cp1251")
    assert decode(body, "windows-1251").text.endswith(RUSSIAN)
    body = b'<!-- <meta charset="koi8-r"> --><meta charset="windows-1251">' + RUSSIAN.encode(
        "cp1251"
    )
    assert decode(body).text.endswith(RUSSIAN)
    body = b'<meta charset="no-such"><meta charset="windows-1251">' + RUSSIAN.encode("cp1251")
    assert decode(body).text.endswith(RUSSIAN)
    assert codec_for("utf-7") is None and codec_for(None) is None  # unsafe, and absent


@given(
    st.binary(max_size=300), st.sampled_from([None, "utf-8", "gbk", "iso-2022-jp", "x", "utf-16"])
)
def test_any_bytes_decode(body: bytes, label: str | None) -> None:
    found = decode(body, label)
    found.text.encode()
    assert 0 <= found.bad <= 1


def test_legacy_texts_of_the_declaration(shared_data: Path) -> None:
    """Guessed without any declaration."""
    archive = zipfile.ZipFile(shared_data / "encodings" / "udhr_legacy_encodings.zip")
    pairs = {
        "Arabic_Alarabia-Arabic": "الإنسان",
        "Japanese_Nihongo-EUC": "すべて",
        "Japanese_Nihongo-SJIS": "すべて",
        "Japanese_Nihongo-JIS": "すべて",
        "Russian_Russky-Cyrillic": "Все люди",
        "Greek_Ellinika-Greek": "ανθρώπ",
        "Hebrew_Ivrit-Hebrew": "אדם",
        "Turkish_Turkce-Turkish": "İnsan",
        "Chinese_Mandarin-GB2312": "世界人权宣言",
        "Czech-Latin2": "všeobecná deklarace",
    }
    for name, word in pairs.items():
        text = decode(archive.read(f"udhr/{name}")).text
        assert word.casefold() in text.casefold(), name


def test_manual_pages_in_their_declared_charsets(shared_data: Path) -> None:
    path = shared_data / "warc" / "httpd_manual-00000.warc.gz"
    words = {".ko.euc-kr": "아파치", ".ja.utf8": "サーバ", ".de": "Server", ".fr.utf8": "é"}
    seen = dict.fromkeys(words, 0)
    good = dict.fromkeys(words, 0)
    for split in plan_splits({"warc": str(path)}):
        for batch in read(split):
            pages = zip(batch["url"].to_pylist(), batch["payload"].to_pylist(), strict=True)
            for url, body in pages:
                text, _, bad = decode(body)
                assert bad < 0.01, url
                for ending, word in words.items():
                    seen[ending] += url.endswith(ending)
                    good[ending] += url.endswith(ending) and word in text
    for ending, count in seen.items():
        assert count > 0 and good[ending] >= 0.9 * count, ending
