"""A rank's items in order, from any one on: what Trainer calls a data loader.

In: Batches, the first item, a rank of so many. Out: items first + rank, first + rank + world, …
Shown by: any `use: train`. Limit: one thread reads ahead, and only in front of a GPU.

Not a DataLoader: accelerate's would read one batch too many, and go on by walking past all items
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

AHEAD = 4  # micro-batches


class Items:
    """Iterable, with the length of the whole run: Trainer counts its steps by it."""

    def __init__(
        self, dataset: Any, first: Callable[[], int], rank: int, world: int, ahead: bool
    ) -> None:
        self.dataset = dataset
        self._first, self._rank, self._world, self._ahead = first, rank, world, ahead

    def __len__(self) -> int:
        return len(self.dataset) // self._world

    def __iter__(self) -> Iterator[Any]:
        numbers = iter(range(self._first() + self._rank, len(self.dataset), self._world))
        if not self._ahead:
            yield from map(self.dataset.__getitem__, numbers)
            return
        with ThreadPoolExecutor(1) as reader:
            waiting = [reader.submit(self._pinned, number) for number in islice(numbers, AHEAD)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [reader.submit(self._pinned, number) for number in islice(numbers, 1)]

    def _pinned(self, number: int) -> Any:
        return {name: tensor.pin_memory() for name, tensor in self.dataset[number].items()}
