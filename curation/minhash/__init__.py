"""MinHash deduplication: LSH proposes, measured Jaccard disposes; see `step.py`."""
