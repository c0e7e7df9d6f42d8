"""Structured output with xgrammar: which tokens may come next.

In: a JSON Schema, a regex or choices. Out: a matcher a row, and logits of barred tokens at -inf.
Shown by: `python -m pytest tests/synth/engines/test_transformers.py`.
Limit: what xgrammar does not know of JSON Schema (uniqueItems, multipleOf) it does not enforce.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from gristmill.errors import RecipeError
from synth.calls import Structure


class Grammar:
    """Compiled grammars of one tokenizer; equal ones are compiled once."""

    def __init__(self, tokenizer: Any, width: int, stop_ids: Sequence[int]) -> None:
        self._tokenizer, self._width, self._stop_ids = tokenizer, width, list(stop_ids)
        self._compiler: Any = None
        self._known: dict[Structure, Any] = {}

    def matcher(self, structure: Structure) -> Any:
        """A fresh matcher; ValueError where the schema or regex is wrong."""
        from xgrammar import GrammarMatcher

        if structure not in self._known:
            try:
                self._known[structure] = self._compile(structure)
            except RuntimeError as error:  # xgrammar's word for a schema that it cannot read
                raise ValueError(str(error)) from error
        return GrammarMatcher(self._known[structure])

    def restrict(self, logits: Any, matchers: Sequence[Any]) -> None:
        """Bar, in place, what each row's grammar does not allow next."""
        from xgrammar import allocate_token_bitmask, apply_token_bitmask_inplace

        mask = allocate_token_bitmask(len(matchers), self._width)
        for row, matcher in enumerate(matchers):
            if matcher is not None:
                matcher.fill_next_token_bitmask(mask, row)
        rows = [row for row, matcher in enumerate(matchers) if matcher is not None]
        apply_token_bitmask_inplace(logits, mask.to(logits.device), indices=rows)

    def _compile(self, structure: Structure) -> Any:
        from xgrammar import GrammarCompiler, TokenizerInfo

        if self._compiler is None:
            info = TokenizerInfo.from_huggingface(
                self._tokenizer, vocab_size=self._width, stop_token_ids=self._stop_ids
            )
            self._compiler = GrammarCompiler(info)
        if structure.kind == "json":
            return self._compiler.compile_json_schema(structure.value)
        if structure.kind == "regex":
            return self._compiler.compile_regex(structure.value)
        words = [json.dumps(word, ensure_ascii=False) for word in structure.value]
        return self._compiler.compile_grammar("root ::= " + " | ".join(words))


def need_xgrammar(engine: str) -> None:
    """RecipeError unless xgrammar is installed."""
    if find_spec("xgrammar") is None:
        raise RecipeError(
            f"engine {engine!r} is asked for structured output, which transformers gives with "
            "the package xgrammar: `pip install 'gristmill[synth]'`"
        )
