"""Scorers: fields that say how good an item is. They never filter: `select: {pass: …}` does."""
