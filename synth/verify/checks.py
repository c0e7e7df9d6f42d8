"""The kinds of constraints: each takes its options and gives a check.

In: options as a user writes them. Out: a function of completion and prompt.
Shown by: `python -m pytest tests/synth/verify/test_constraints.py`.
Limit: language is py3langid's verdict: short texts may be taken for a neighbour's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from gristmill.errors import RecipeError, nearest
from synth.verify import counts
from synth.verify.structure import read

Check = Callable[[str, str], bool]
_TITLE = re.compile(r"<<[^<>\n]+>>")
_SLOT = re.compile(r"\[[^\[\]\n]+\]")
_STRONG = re.compile(r"\*{1,2}[^*\n]+\*{1,2}")
_FIRST = re.compile(r"\w+")


def _bounds(options: Any) -> tuple[float, float]:
    """`{min: 3, max: 5}`, or `3` for exactly 3."""
    if isinstance(options, bool) or not isinstance(options, int | dict):
        raise RecipeError(f"got {options!r:.60}; give a number, or min and max")
    if isinstance(options, int):
        return options, options
    if not options or set(options) - {"min", "max"}:
        raise RecipeError(f"got {options!r:.60}; give min, max or both")
    for value in options.values():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise RecipeError(f"got {value!r:.60}; bounds are whole numbers from 0 on")
    low, high = options.get("min", 0), options.get("max", float("inf"))
    if low > high:
        raise RecipeError(f"min is {low} and max {high}; nothing can be between")
    return low, high


def _count(counter: Callable[[str], int], options: Any) -> Check:
    low, high = _bounds(options)
    return lambda text, _: low <= counter(text) <= high


def _texts(options: Any) -> list[str]:
    found = [options] if isinstance(options, str) else options
    if not isinstance(found, list) or not found or not all(isinstance(t, str) and t for t in found):
        raise RecipeError(f"got {options!r:.60}; give a text, or a list of them")
    return found


def _whole(text: str) -> re.Pattern[str]:
    """A word or phrase as such: not inside a longer word; spaces as they come."""
    parts = r"\s+".join(map(re.escape, text.split())) or re.escape(text)
    before = r"(?<!\w)" if text[:1].isalnum() else ""
    after = r"(?!\w)" if text[-1:].isalnum() else ""
    return re.compile(before + parts + after, re.IGNORECASE)


def _contains(options: Any) -> Check:
    wanted = [_whole(text) for text in _texts(options)]
    return lambda text, _: all(word.search(text) for word in wanted)


def _excludes(options: Any) -> Check:
    barred = [_whole(text) for text in _texts(options)]
    return lambda text, _: not any(word.search(text) for word in barred)


def _repeats(options: Any) -> Check:
    """`{text: tea, min: 3}`: how often a word stands in it."""
    if not isinstance(options, dict) or not isinstance(options.get("text"), str):
        raise RecipeError(f"got {options!r:.60}; give text, and min, max or both")
    word = _whole(_texts(options["text"])[0])
    low, high = _bounds({k: v for k, v in options.items() if k != "text"})
    return lambda text, _: low <= len(word.findall(text)) <= high


def _letters(options: Any) -> Check:
    """`{letter: e, max: 0}`: how often a letter stands in it, in either case."""
    if not isinstance(options, dict) or not isinstance(options.get("letter"), str):
        raise RecipeError(f"got {options!r:.60}; give letter, and min, max or both")
    letter = _texts(options["letter"])[0].casefold()
    low, high = _bounds({k: v for k, v in options.items() if k != "letter"})
    return lambda text, _: low <= text.casefold().count(letter) <= high


def _starts(options: Any) -> Check:
    starts = tuple(_texts(options))
    return lambda text, _: text.lstrip().startswith(starts)


def _ends(options: Any) -> Check:
    ends = tuple(_texts(options))
    return lambda text, _: text.rstrip().endswith(ends)


def _one_of(options: Any) -> Check:
    choices = {text.strip() for text in _texts(options)}
    return lambda text, _: text.strip() in choices


def _case(options: Any) -> Check:
    tests: dict[str, Callable[[str], bool]] = {
        "lower": lambda text: text.islower(),
        "upper": lambda text: text.isupper(),
        "title": lambda text: text.istitle(),
    }
    if not isinstance(options, str) or options not in tests:
        raise RecipeError(f"got {options!r:.60}{nearest(str(options), tests)}")
    return lambda text, _: tests[options](text)


def _capitals(text: str) -> int:
    return sum(word.isupper() and any(c.isalpha() for c in word) for word in text.split())


def _found(pattern: re.Pattern[str], text: str) -> int:
    return len(pattern.findall(text))


def _yes(test: Callable[[str], bool], options: Any) -> Check:
    if not isinstance(options, bool):
        raise RecipeError(f"got {options!r:.60}; give true or false")
    return lambda text, _: test(text) is options


def _quoted(text: str) -> bool:
    text = text.strip()
    return len(text) > 2 and (text[0], text[-1]) in (('"', '"'), ("“", "”"), ("«", "»"))


def _postscript(options: Any) -> Check:
    marks = tuple(text.casefold() for text in _texts("P.S." if options is True else options))
    return lambda text, _: any(
        line.strip().casefold().startswith(marks) for line in text.splitlines()[1:]
    )


def _repeats_prompt(text: str, prompt: str) -> bool:
    return bool(prompt.strip()) and text.strip().startswith(prompt.strip())


def _prompt_first(options: Any) -> Check:
    if not isinstance(options, bool):
        raise RecipeError(f"got {options!r:.60}; give true or false")
    return lambda text, prompt: _repeats_prompt(text, prompt) is options


def _paragraph_starts(options: Any) -> Check:
    """`{number: 2, word: However}`: the first word of a paragraph, counted from 1."""
    if (
        not isinstance(options, dict)
        or set(options) != {"number", "word"}
        or not isinstance(options["number"], int)
        or options["number"] < 1
        or not isinstance(options["word"], str)
    ):
        raise RecipeError(f"got {options!r:.60}; give number (from 1) and word")
    at, word = options["number"] - 1, options["word"].casefold()

    def check(text: str, _: str) -> bool:
        parts = [part for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
        first = _FIRST.search(parts[at]) if at < len(parts) else None
        return first is not None and first[0].casefold() == word

    return check


@lru_cache(maxsize=1)
def _languages() -> tuple[Any, dict[str, int]]:
    from gristmill.text.langid import load_naive_bayes

    model = load_naive_bayes()
    return model, {label: i for i, label in enumerate(model.labels)}


def language_of(text: str) -> str:
    """The likeliest language of a text (ISO 639-1)."""
    import pyarrow as pa

    from gristmill.text.langid import identify

    clean = text[:20_000].encode("utf-8", "replace").decode()
    model, _ = _languages()
    found, _ = identify(model, pa.array([clean], pa.string()))
    return model.labels[int(found[0])]


def _language(options: Any) -> Check:
    wanted = _texts(options)
    for code in wanted:
        if not re.fullmatch(r"[a-z]{2,3}", code):
            raise RecipeError(f"got {code!r:.60}; give a language's code, e.g. 'en'")
    return lambda text, _: any(c.isalpha() for c in text) and language_of(text) in wanted


KINDS: dict[str, Callable[[Any], Check]] = {
    **{unit: partial(_count, counter) for unit, counter in counts.UNITS.items()},
    "capital_words": partial(_count, _capitals),
    "placeholders": partial(_count, partial(_found, _SLOT)),
    "highlights": partial(_count, partial(_found, _STRONG)),
    "contains": _contains,
    "excludes": _excludes,
    "repeats": _repeats,
    "letters": _letters,
    "starts_with": _starts,
    "ends_with": _ends,
    "one_of": _one_of,
    "case": _case,
    "language": _language,
    "postscript": _postscript,
    "paragraph_starts": _paragraph_starts,
    "prompt_first": _prompt_first,
    "json": partial(_yes, lambda text: not read(text)[1]),
    "quoted": partial(_yes, _quoted),
    "title": partial(_yes, lambda text: bool(_TITLE.search(text))),
    "commas": partial(_yes, lambda text: "," in text),
}
