"""Scorers: fields of an item that say how good it is. They never filter: `select: {pass: …}` does."""
