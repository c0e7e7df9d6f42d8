"""Write unicode.npz: what the kernels know of every code point, from one pinned Unicode version.

In: the `regex` package (its Unicode tables are newer than Python's and hold word breaks).
Out: gristmill/text/unicode.npz, two-stage tables (see unicode.py), the same for the same `regex`.
Shown by: `python -m gristmill.text.generate_unicode` (needs the `dev` extra; some ten seconds).
Limit: `regex` has no case mappings: Python's are used, and for letters newer than Python the only
other case that `regex` knows; a new letter with three cases would need a look.
"""

from __future__ import annotations

import re
import unicodedata
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex  # type: ignore[import-untyped]

from gristmill.text import unicode as u

CODE_POINTS = 0x110000
BLOCK = 1 << u.BLOCK_BITS

FLAG_PATTERNS = {
    u.LETTER: r"\p{L}",
    u.MARK: r"\p{M}",
    u.NUMBER: r"\p{N}",
    u.PUNCT: r"\p{P}",
    u.SPACE: r"\p{White_Space}",
    u.UPPER: r"\p{Uppercase}",
    u.LOWER: r"\p{Lowercase}",
    u.ALPHABETIC: r"\p{Alphabetic}",
    # scripts without spaces whose characters are taken as words one by one
    u.IDEOGRAPH: r"[[\p{Ideographic}\p{scx=Hira}\p{scx=Kana}]&&[\p{L}\p{Nl}]]",
    # scripts without spaces that need a dictionary (line break class SA: Thai, Lao, Khmer, ...)
    u.SPACELESS: r"\p{Line_Break=SA}",
    u.PREPENDED: r"\p{Logical_Order_Exception}",
    u.LINKER: r"\p{InCB=Linker}",
    # soft hyphen, joiners, marks of direction, variation selectors; U+200B is a space without width
    u.IGNORABLE: r"[[\p{Default_Ignorable_Code_Point}&&[\p{Mn}\p{Cf}]]--\u200b]",
    u.TERMINAL: r"\p{Sentence_Terminal}",
    u.PICTOGRAPH: r"\p{Extended_Pictographic}",
}


def build() -> tuple[u.Tables, str]:
    """The tables, and the Unicode version that they hold."""
    every = "".join(map(chr, range(CODE_POINTS)))
    record = np.zeros(CODE_POINTS, np.uint32)
    for number, name in enumerate(u.WORD_BREAKS[1:], 1):
        record[_having(rf"\p{{Word_Break={name}}}", every)] |= number
    for number, name in enumerate(u.CATEGORIES[1:], 1):
        record[_having(rf"\p{{gc={name}}}", every)] |= number << u.CATEGORY_SHIFT
    for flag, pattern in FLAG_PATTERNS.items():
        record[_having(pattern, every)] |= flag
    lower = _simple_lowercase(record)
    record[lower != np.arange(CODE_POINTS)] |= u.CASED

    blocks, where = _two_stage(record)
    # a delta below zero wraps; unicode.simple_lower cuts the sum to 21 bits
    lower_blocks, lower_where = _two_stage((lower - np.arange(CODE_POINTS)).astype(np.uint32))
    begin = 2 * u.BLOCKS
    begins = [begin + where, begin + len(blocks) + lower_where]
    table = np.concatenate([*(b.astype(np.uint32) for b in begins), blocks, lower_blocks])
    version = re.search(
        r"supports Unicode (\d+\.\d+\.\d+)", distribution("regex").read_text("METADATA") or ""
    )
    return table, version[1] if version else "unknown"


def main() -> None:
    table, version = build()
    path = Path(__file__).with_name("unicode.npz")
    np.savez_compressed(path, tables=table, version=np.array(version))
    print(f"Unicode {version}: {table.nbytes} bytes of tables in {path.name}")


def _having(pattern: str, every: str) -> npt.NDArray[np.int64]:
    """The code points that match a one-character pattern."""
    spans = [m.span() for m in regex.finditer(f"(?:{pattern})++", every, regex.V1)]
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(a, b) for a, b in spans)])


def _simple_lowercase(record: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """The one-to-one lower case of every code point (itself where it has none)."""
    lower = np.arange(CODE_POINTS)
    small = "".join(map(chr, np.flatnonzero(record & np.uint32(u.LOWER))))
    titlecase = (record >> u.CATEGORY_SHIFT & 31) == u.CATEGORIES.index("Lt")
    for point in np.flatnonzero((record & np.uint32(u.UPPER) > 0) | titlecase):
        char = chr(point)
        folded = char.lower()
        if folded != char:
            # U+0130 lowers to two characters; its simple mapping is the first of them
            lower[point] = ord(folded[0])
        elif unicodedata.category(char) == "Cn":  # newer than this Python
            found = regex.search(rf"(?i)[{char}]", small)
            lower[point] = ord(found[0]) if found else point
    return lower


def _two_stage(
    values: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The distinct blocks, joined, and where in them the block of each code point begins."""
    blocks, where = np.unique(values.reshape(-1, BLOCK), axis=0, return_inverse=True)
    return blocks.reshape(-1), where.reshape(-1) * BLOCK


if __name__ == "__main__":
    main()
