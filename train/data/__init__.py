"""From a mixture or rows to micro-batches: item i is a pure function of (data, seed, i)."""
