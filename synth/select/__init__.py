"""Selectors: which items of a row go on, and the global top share of all rows."""
