"""`python -m gristmill`: the command line, where the console script is not on the path.

In: arguments. Out: what `gristmill` prints. Shown by: `python -m gristmill --help`.
Limit: none of its own.
"""

from importlib import import_module  # this layer imports nothing above it

if __name__ == "__main__":
    import_module("pipelines.cli").main()
