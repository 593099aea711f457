"""A training set as lists of strings and dicts, read in random order by the workers of a data loader.

The situation: a dataset keeps a path and a record of each sample in two lists,
and the training process forks workers that look samples up. (PyTorch's
`DataLoader` does; its issue 13246 is about what follows.) Nobody changes the
lists, and yet each worker grows during the first epoch, to gigabytes if the
lists are long.

What refcow says: a worker that looks up one sample in four copies every page
that holds a path or a record. Both lookups take a reference, which is written
into the str or the dict itself; and as a page holds dozens of them, and the
order is random, hardly one is spared. The dicts' tables are read only.

    refcow measure examples/data_loader.py --lines

What to change: `--set records=packed` keeps the same records in arrays, without
an object for each. Dicts and their line are gone from what refcow names; the
strings stay, until `--set paths=packed`. Or measure `visit_paths`, which does
without the line that is blamed for the dicts.

`--set samples=10_000_000` is a large training set. It takes ten times as much.
"""
import random
from array import array
from itertools import accumulate
from typing import Literal

WORKERS = 4


class Strings:
    """A sequence of strings in one buffer."""

    def __init__(self, strings):
        encoded = [text.encode() for text in strings]
        self.content = b"".join(encoded)
        self.ends = array("Q", accumulate(map(len, encoded), initial=0))

    def __len__(self):
        return len(self.ends) - 1

    def __getitem__(self, index):
        return self.content[self.ends[index]:self.ends[index + 1]].decode()


class Records:
    """A sequence of records in an array for each key."""

    def __init__(self, records):
        self.columns = {"label": array("I"), "width": array("I"), "height": array("I")}
        for record in records:
            for key, column in self.columns.items():
                column.append(record[key])

    def __getitem__(self, index):
        return {key: column[index] for key, column in self.columns.items()}


class Dataset:
    def __init__(self, paths, records):
        self.paths = paths
        self.records = records

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        record = self.records[index]
        return path, record


def build(
    samples: int = 1_000_000,
    paths: Literal["list", "packed"] = "list",
    records: Literal["list", "packed"] = "list",
):
    numbers = range(samples)
    return Dataset(
        {"list": list, "packed": Strings}[paths](
            f"images/train/{number:010}.jpg" for number in numbers
        ),
        {"list": list, "packed": Records}[records](
            {"label": number % 100, "width": 640, "height": 480} for number in numbers
        ),
    )


def part(dataset):
    """One worker's part of an epoch: indices of samples, in random order."""
    samples = len(dataset)
    return random.Random(0).sample(range(samples), samples // WORKERS)


def visit_epoch(dataset):
    """Looks up one sample in four, in random order."""
    for index in part(dataset):
        path, record = dataset[index]  # A real worker now reads the image.


def visit_paths(dataset):
    """Looks up the paths of the same samples, and not their records."""
    for index in part(dataset):
        path = dataset.paths[index]
