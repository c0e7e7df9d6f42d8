"""Packing: documents into rows of equal length, window by window, with every token accounted for.

In: lengths of documents in the order of an epoch. Out: for each row, which pieces of which
documents it holds. Shown by: `python -m bench.packing`. Limit: lengths only; tokens are not read
here, and a row's pieces are laid out in the order of the documents. Guide: docs/packing.md.
"""

from mixtures.packing.account import Account
from mixtures.packing.packer import METHODS, Documents, Packed, Packer

__all__ = ["METHODS", "Account", "Documents", "Packed", "Packer"]
