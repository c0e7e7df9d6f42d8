"""Bytes of a page to text: byte order mark, header, `<meta>`, valid UTF-8, and only then a guess.

In: body bytes and the charset of the HTTP header. Out: (text, Python codec used).
Shown by: `python -c "from curation.charset import decode; print(decode('é'.encode('cp1252')))"`.
Limit: a page that mixes encodings is decoded in one of them, the rest as U+FFFD.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_PRESCAN = 4096  # WHATWG says 1024; real pages put scripts before it
_META = re.compile(
    rb"<meta\b[^>]{0,1024}?\bcharset\s*=\s*[\"']?\s*([\w.:+-]+)", re.IGNORECASE | re.DOTALL
)
_XML = re.compile(rb"\s*<\?xml\b[^>]{0,256}?\bencoding\s*=\s*[\"']([\w.:+-]+)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
# Python's codec that decodes what the WHATWG encoding of that label does (Encoding Standard, §4.2).
_CODECS = {
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
}
_MORE_LABELS = {
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
    "iso8859_15": "iso8859-15",
    "hz-gb-2312": "hz",
    "iso-2022-kr": "iso2022_kr",
}
_MULTI_BYTE = {"cp932", "cp949", "gb18030", "big5hkscs", "euc_jp"}
_SURE = 16  # bytes beyond ASCII: four characters of GBK can be valid UTF-8, many cannot
_UTF16 = {"utf-16-le", "utf-16-be"}
_ASCII = bytes(range(128))
_ESCAPED = {"iso2022_jp", "iso2022_kr", "hz"}  # all bytes are ASCII: never mistake them for UTF-8
_ESCAPE = b"\x1b$"  # ISO-2022-JP's switch to two bytes
_BAD = "�"
_MAX_BAD = 0.1  # of the characters beyond ASCII, before a declared UTF-8 is disbelieved


def codec_for(label: str | None) -> str | None:
    """Python codec of an encoding label as browsers read it; None for unknown labels."""
    if not label:
        return None
    name = label.strip().lower()
    if name in _MORE_LABELS:
        return _MORE_LABELS[name]
    found = map_encoding_to_html5(name, False)
    return _CODECS.get(found, found) if found else None


class Decoded(NamedTuple):
    """A decoded body: its text, the Python codec, and the share of characters that are U+FFFD."""

    text: str
    codec: str
    bad: float = 0.0


def decode(payload: bytes | memoryview, http_charset: str | None = None) -> Decoded:
    """Text of a body; never raises, undecodable bytes become U+FFFD.

    Order: byte order mark, HTTP charset, `<meta>` or XML declaration, valid UTF-8, detector. Bytes
    have the last word: a declared charset gives way to valid UTF-8 beyond ASCII, a declared UTF-8
    that fails on more than a tenth of its characters beyond ASCII to the detector.
    """
    head = bytes(payload[:_PRESCAN])
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return _replaced(payload[len(mark) :], codec)
    declared = codec_for(http_charset) or declared_in(head)
    if declared in _ESCAPED or declared in _UTF16:
        assert declared is not None
        return _replaced(payload, declared)
    utf8 = _strict(payload, "utf-8")
    if utf8 is not None and declared is None and _ESCAPE in head:
        return _replaced(payload, "iso2022_jp")
    if utf8 is not None and (declared not in _MULTI_BYTE or _beyond_ascii(payload) >= _SURE):
        return Decoded(utf8, "utf-8")
    if declared is not None:
        found = _replaced(payload, declared)
        if declared != "utf-8" or not _mostly_bad(found.text):
            return found
    guess = detect_encoding(bytes(payload)) or "cp1252"
    guess = _CODECS.get(guess, guess)
    if guess == "utf-8":
        guess = declared or "cp1252"
    try:
        return _replaced(payload, guess)
    except LookupError:
        return _replaced(payload, "cp1252")


def declared_in(head: bytes) -> str | None:
    """Codec that a page's first bytes declare in `<meta>` or its XML declaration."""
    if b"<" not in head:
        return None
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    labels = [found[1] for found in _META.finditer(head)]
    if xml := _XML.match(head):
        labels.append(xml[1])
    for label in labels:
        codec = codec_for(label.decode("ascii", "replace"))
        if codec is not None:
            # Bytes that showed an ASCII `<meta` are no UTF-16.
            return "utf-8" if codec.startswith("utf-16") else codec
    return None


def _strict(payload: bytes | memoryview, codec: str) -> str | None:
    try:
        return str(payload, codec)
    except UnicodeDecodeError:
        return None


def _replaced(payload: bytes | memoryview, codec: str) -> Decoded:
    text = str(payload, codec, "replace")
    return Decoded(text, codec, text.count(_BAD) / len(text) if text else 0.0)


def _beyond_ascii(payload: bytes | memoryview) -> int:
    return len(bytes(payload).translate(None, _ASCII))


def _mostly_bad(text: str) -> bool:
    beyond = sum(char > "\x7f" for char in text[: 1 << 16])
    return bool(text.count(_BAD, 0, 1 << 16) > _MAX_BAD * beyond)
