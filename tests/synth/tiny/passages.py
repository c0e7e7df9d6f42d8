"""Short real passages to write about: whole sentences, some kept back for measuring.

In: ../shared/data. Out: lists of sentences. Shown by: `python -m tests.synth.tiny.passages`.
Limit: English, and only sentences of plain words and marks.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

FILES = ("c4_demo", "wiki_demo", "eltec_eng_15novels", "inaugural_state_union")
_LIMITS = {"eltec_eng_15novels": 150}  # documents read
_CHARACTERS = 12_000  # read of one document
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_PLAIN = re.compile(r"[A-Z][A-Za-z0-9 ,;:'’()%$&./-]*[.!?]")
HELD_OUT = 10  # every tenth document is not trained on


@dataclass(frozen=True, slots=True)
class Passages:
    """Documents as lists of sentences."""

    documents: tuple[tuple[str, ...], ...]

    def draw(self, rng: Random, words: int = 45, least: int = 2) -> list[str]:
        """Consecutive sentences of one document: at least `least`, then up to `words` words."""
        while True:
            document = rng.choice(self.documents)
            at = rng.randrange(len(document))
            taken: list[str] = []
            for sentence in document[at:]:
                if sum(len(s.split()) for s in [*taken, sentence]) > words:
                    break
                taken.append(sentence)
            if len(taken) >= least:
                return taken


def read_passages(data: Path) -> tuple[Passages, Passages]:
    """What is trained on, and what is kept back."""
    train, held = [], []
    for name in FILES:
        with gzip.open(data / "text" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if number >= _LIMITS.get(name, 400):
                    break
                found = sentences(json.loads(line)["text"][:_CHARACTERS])
                if len(found) >= 3:
                    (held if number % HELD_OUT == 0 else train).append(tuple(found))
    return Passages(tuple(train)), Passages(tuple(held))


def sentences(text: str) -> list[str]:
    """Sentences of 4 to 20 plain words."""
    found = []
    for piece in _END.split(text):
        flat = " ".join(piece.split())
        if 4 <= len(flat.split()) <= 20 and _PLAIN.fullmatch(flat):
            found.append(flat)
    return found


if __name__ == "__main__":
    kept, back = read_passages(Path(__file__).resolve().parents[4] / "shared" / "data")
    print(len(kept.documents), "documents,", len(back.documents), "kept back")
    print(" ".join(kept.draw(Random(1))))
