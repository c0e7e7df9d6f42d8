"""The token ledger of a packer: where every token of every document that was drawn has gone.

In: counts of what was packed. Out: an `Account` whose sums always hold. Shown by: `python -m
bench.packing`. Limit: one for each packer; a stage's share is the difference of two accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Account:
    """Tokens first, then documents.

    drawn == kept_whole + kept_split + dropped + carried
    places == kept_whole + kept_split + padding, the lengths of all rows together
    documents_drawn == documents_whole + _split + _dropped + _carried + _empty
    """

    rows: int = 0
    places: int = 0  # rows times their length
    drawn: int = 0  # tokens of all documents that were asked for
    kept_whole: int = 0  # of documents that stand in one row from end to end
    kept_split: int = 0  # of documents that stand in several rows, or were cut short
    dropped: int = 0  # too long for `whole`, or past the row's end in `one_per_row`
    carried: int = 0  # drawn, and waiting for the next rows
    padding: int = 0
    documents_drawn: int = 0
    documents_whole: int = 0
    documents_split: int = 0
    documents_dropped: int = 0  # nothing of them was kept
    documents_carried: int = 0  # all or the last part of them is waiting
    documents_empty: int = 0  # no tokens: never in a row

    @property
    def fill(self) -> float:
        """The share of the places that hold a token; 1 where there are no rows."""
        return 1 - self.padding / self.places if self.places else 1.0

    def __sub__(self, before: Account) -> Account:
        """What came after `before`; `carried` is then the change, and may be negative."""
        pairs = ((field.name, getattr(before, field.name)) for field in fields(self))
        return Account(**{name: getattr(self, name) - value for name, value in pairs})
