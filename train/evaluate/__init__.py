"""What a model can do, measured; the results are rows, so SQL compares runs."""

import train.spec  # noqa: F401  before train.evaluate.spec: conditions of a stage hold its tasks
