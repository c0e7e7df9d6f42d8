"""Parsers: a completion's text into named values, or a typed failure."""
