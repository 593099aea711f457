"""The same data in forms of which no remedy makes one from another: `--set form=NAME`, and how much with `--set n=N`."""
import functools
import random
from array import array

LABELS = 100


class Sorted:
    """A dict of str by str, as sorted keys end to end, and their values in an array."""

    def __init__(self, entries):
        keys = sorted(entries)
        self.content, self.ends = "".join(keys).encode(), array("Q")
        for key in keys:
            self.ends.append((self.ends[-1] if self.ends else 0) + len(key))
        self.values = array("q", [entries[key] for key in keys])

    def __len__(self):
        return len(self.ends)

    def key(self, place):
        return self.content[self.ends[place - 1] if place else 0 : self.ends[place]].decode()

    def __getitem__(self, key):
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.key(middle) < key else (low, middle)
        if low == len(self) or self.key(low) != key:
            raise KeyError(key)
        return self.values[low]


def cached(n, most):
    @functools.lru_cache(maxsize=most)
    def row(number):
        return number, "row %d" % number

    for number in range(n):
        row(number)
    return row, n


def labels(n, kind):
    import pandas

    choose = random.Random(0).randrange
    texts = ["".join(["label ", str(choose(LABELS))]) for _ in range(n)]
    return pandas.Series(texts, dtype=object).astype(kind)


FORMS = {
    "dict": lambda n: {"k%09d" % (number * 7919): number + 1_000 for number in range(n)},
    "sorted": lambda n: Sorted(FORMS["dict"](n)),
    "lru_cache": lambda n: cached(n, n),
    "lru_cache_without_end": lambda n: cached(n, None),
    "labels": lambda n: labels(n, object),
    "labels_as_str": lambda n: labels(n, "str"),
    "labels_as_category": lambda n: labels(n, "category"),
}


def build(n: int = 100_000, form: str = "dict"):
    return FORMS[form](n)


def visit_use(data):
    if type(data) is tuple:
        row, n = data
        return sum(len(row(number)[1]) for number in range(n))
    if isinstance(data, (dict, Sorted)):
        return sum(data["k%09d" % (number * 7919)] for number in range(len(data)))
    return sum(map(len, data))
