"""Cut one run of non-space characters into the tokens that spaCy's blank English tokeniser makes.

In: bytes [start, end) without white space. Out: token boundaries, in a scratch array.
Shown by: `python -m gristmill.text.spacy_like "Don't (really) go to U.S.-style e-mail: a@b.org!"`.
Limit: an exception that spaCy finds only across a space (": )") is not looked for.

The order is spaCy's: exceptions, then prefixes and suffixes one at a time, exceptions again, URLs
and e-mail addresses whole, infixes; at last exceptions among the tokens (":" + ")" is ":)").
Written anew from the published rules (spaCy 3.8, MIT licence); the classes and exceptions come as
data from english.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text.english import (
    AGAIN,
    ALPHA,
    ALPHA_LOWER,
    ALPHA_UPPER,
    FIRSTS,
    ICON,
    INFIX,
    LONGEST_RULE,
    MOST_TOKENS,
    PARTS,
    QUOTE,
    in_bloom,
)
from gristmill.text.simd import low_bits, trailing_zeros
from gristmill.text.spacy_affixes import (
    DOT,
    ELLIPSIS,
    HYPHEN,
    PLUS,
    char_at,
    char_before,
    is_digit,
    prefix_length,
    rule_at,
    suffix_length,
)
from gristmill.text.spacy_url import is_url

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
EN_DASH, EM_DASH = 0x2013, 0x2014


@njit(inline="always")
def _infix(data, i, end, cp, width, flags, prev_digit, prev, flag):  # type: ignore[no-untyped-def]
    """Bytes of the infix at i, given the character there and what stands before; 0 for none."""
    j = i + width
    if cp == DOT and j < end and data[j] == DOT:
        while j < end and data[j] == DOT:
            j += 1
        return j - i
    if cp == ELLIPSIS or flags & ICON:
        return width
    if j >= end:
        return 0
    after, _, after_flags = char_at(data, j, end, flag)
    if prev_digit and (cp == PLUS or cp == HYPHEN or cp == 0x2A or cp == 0x5E):
        if is_digit(after) or after == HYPHEN:
            return width
    if cp == DOT:
        found = prev & (ALPHA_LOWER | QUOTE) and after_flags & (ALPHA_UPPER | QUOTE)
        return 1 if found else 0
    if cp == 0x2C:
        return 1 if prev & ALPHA and after_flags & ALPHA else 0
    if not (prev_digit or prev & ALPHA):
        return 0
    if cp == 0x3A or cp == 0x3C or cp == 0x3D or cp == 0x3E or cp == 0x2F:  # : < = > /
        return 1 if after_flags & ALPHA else 0
    most = 3 if cp == HYPHEN else 2 if cp == EM_DASH else 1 if cp == EN_DASH or cp == 0x7E else 0
    count = 1
    while after == cp and count < most:
        j += width
        count += 1
        if j >= end:
            return 0
        after, _, after_flags = char_at(data, j, end, flag)
    return j - i if most and after_flags & ALPHA else 0


@njit(inline="always")
def _cut_infixes(data, start, end, flag, begin, candidates, bounds, n):  # type: ignore[no-untyped-def]
    """Append the ends of the tokens of data[start:end], which has no affixes; the new count.

    candidates: bit k stands for a possible infix at begin + k; all bits: look at every character.
    """
    token = i = start
    prev_digit, prev = False, np.uint32(0)
    checked = False
    jump = candidates != ALL
    if jump:
        candidates &= low_bits(end - begin) & ~low_bits(start - begin)
    while i < end:
        if jump:
            if candidates == 0:
                break
            i = begin + trailing_zeros(candidates)
            candidates &= candidates - np.uint64(1)
            if i < token:
                continue
            if i > start:
                prev_digit, prev = is_digit(data[i - 1]), flag[data[i - 1]]
        cp, width, flags = char_at(data, i, end, flag)
        length = 0
        if flags & INFIX:
            length = _infix(data, i, end, cp, width, flags, prev_digit, prev, flag)
        if length and i == start:
            token_end = i + length  # an infix at the front is no cut, but nothing begins inside it
            if jump:
                candidates &= ~low_bits(token_end - begin)
        if length and i > start:
            if not checked:
                if is_url(data, start, end, flag):
                    break
                checked = True
            if i > token:
                bounds[n] = i
                n += 1
            token = i + length
            bounds[n] = token
            n += 1
        if length > width:  # the character before the next is the last of the infix
            _, _, flags = char_before(data, i, i + length, flag)
            width = length
        prev_digit, prev = is_digit(cp), flags
        i += width
    if token < end:
        bounds[n] = end
        n += 1
    return n


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _cut_rule(parts, start, bounds, n):  # type: ignore[no-untyped-def]
    """Append the ends of the tokens (5 bits each) of an exception at `start`; the new count."""
    while parts != 0:
        start += np.int64(parts & np.uint64(31))
        parts >>= np.uint64(5)
        bounds[n] = start
        n += 1
    return n


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def cut_run(data, start, end, flag, book, digits, candidates, bounds, spare):  # type: ignore[no-untyped-def]
    """Tokens of data[start:end], a run without white space: token k is [bounds[k], bounds[k+1]).

    Args:
        flag, book: `english()`.
        digits: False if the run has no ASCII digit.
        candidates: see `_cut_infixes`; bit k stands for start + k.
        bounds, spare: int64 scratch; `bounds` is longer than the run by two at least, `spare` is
            three times as long as `bounds`.
    Returns:
        the number of tokens, before `join_rules`; 0 for an empty run.
    """
    begin = start
    bounds[0] = start
    n, suffixes = 1, 0  # suffixes are stacked from the far end of `spare`
    top = len(spare) - 1
    rule = np.int64(-1)
    known = False  # that data[start:end] is no exception
    while start < end:
        if not known:
            rule = rule_at(data, start, end, book)
            if rule >= 0:
                break
        prefix = prefix_length(data, start, end, flag)
        if prefix and start + prefix < end:
            rule = rule_at(data, start + prefix, end, book)
            if rule >= 0:
                start += prefix
                bounds[n] = start
                n += 1
                break
        suffix = suffix_length(data, start + prefix, end, flag, book, digits)
        if suffix and end - suffix > start:
            rule = rule_at(data, start, end - suffix, book)
            if rule >= 0:
                spare[top - suffixes] = end
                suffixes += 1
                end -= suffix
                break
        if prefix == 0 and suffix == 0:
            break
        known = prefix == 0 or suffix == 0
        if prefix:
            start += prefix
            bounds[n] = start
            n += 1
        if suffix:
            spare[top - suffixes] = end
            suffixes += 1
            end -= suffix
    if rule >= 0:
        n = _cut_rule(book[PARTS + rule], start, bounds, n)
    elif start < end:
        n = _cut_infixes(data, start, end, flag, begin, candidates, bounds, n)
    for k in range(suffixes):
        bounds[n] = spare[top + 1 - suffixes + k]
        n += 1
    return n - 1


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _rule_of_tokens(data, bounds, k, tokens, book):  # type: ignore[no-untyped-def]
    """The exception that the tokens k to k + tokens - 1 are together, cut as it would be; or -1."""
    rule = rule_at(data, bounds[k], bounds[k + tokens], book)
    if rule < 0:
        return rule
    again = book[AGAIN + rule]
    for t in range(tokens):
        if np.int64(again & np.uint64(31)) != bounds[k + t + 1] - bounds[k + t]:
            return np.int64(-1)
        again >>= np.uint64(5)
    return rule if again == 0 else np.int64(-1)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def join_rules(data, count, book, hashes, n, bounds, spare):  # type: ignore[no-untyped-def]
    """Find exceptions among the tokens of a run, cut those stretches anew; the new count.

    Longest first, then leftmost; a stretch is taken unless its first or last token is in one that
    was looked at before, taken or not: spaCy's order. hashes[n:] are those of the tokens.
    """
    longest = 1
    for k in range(count - 1):
        if not in_bloom(book, FIRSTS, hashes[n + k]):
            continue
        for tokens in range(longest + 1, min(MOST_TOKENS, count - k) + 1):
            if bounds[k + tokens] - bounds[k] > LONGEST_RULE:
                break
            if _rule_of_tokens(data, bounds, k, tokens, book) >= 0:
                longest = tokens
    if longest == 1:
        return count
    # spare[k]: 0 not looked at, -1 looked at, t > 0: the t tokens from here on are an exception
    for k in range(count):
        spare[k] = 0
    for tokens in range(longest, 1, -1):
        for k in range(count - tokens + 1):
            if _rule_of_tokens(data, bounds, k, tokens, book) < 0:
                continue
            free = spare[k] == 0 and spare[k + tokens - 1] == 0
            for t in range(tokens):
                if spare[k + t] == 0:
                    spare[k + t] = -1
            if free:
                spare[k] = tokens
    # new bounds are gathered behind the marks, then moved: an exception may have more tokens
    fresh = count
    k = 0
    while k < count:
        tokens = spare[k]
        if tokens > 0:
            rule = rule_at(data, bounds[k], bounds[k + tokens], book)
            fresh = _cut_rule(book[PARTS + rule], bounds[k], spare, fresh)
            k += tokens
        else:
            spare[fresh] = bounds[k + 1]
            fresh += 1
            k += 1
    for k in range(fresh - count):
        bounds[k + 1] = spare[count + k]
    return fresh - count
