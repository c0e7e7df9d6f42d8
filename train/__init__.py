"""Train: a plan or rows -> a checkpoint; thin, on transformers and TRL."""
