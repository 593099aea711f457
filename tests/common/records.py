"""Shapes of records that programs have, for remedies: `--set kind=NAME`, and how many with `--set n=N`."""
import collections
import dataclasses
import random

Row = collections.namedtuple("Row", "a b")


@dataclasses.dataclass
class Record:
    a: str
    b: int


def annotations(n):
    """As the files of COCO have them."""
    number = random.Random(0).random
    return [
        {"id": 1_000 + i, "bbox": [number() for _ in range(4)], "segmentation": [[number() for _ in range(20)]], "iscrowd": 0}
        for i in range(n)
    ]


KINDS = {
    "coco": annotations,
    "coco_file": lambda n: {"images": [{"id": i, "file": "%012d.jpg" % i} for i in range(n // 7)], "annotations": annotations(n)},
    "named": lambda n: [Row("text %d" % i, i + 1_000) for i in range(n)],
    "dataclass": lambda n: [Record("text %d" % i, i + 1_000) for i in range(n)],
    "nothing_but_none": lambda n: [("text %d" % i, i + 1_000, None) for i in range(n)],
    "optional_key": lambda n: [dict(id=i, **({"extra": i} if i % 3 else {})) for i in range(1_000, 1_000 + n)],
    "int_and_float": lambda n: [{"id": i, "v": i / 3 if i % 7 else i} for i in range(1_000, 1_000 + n)],
    "lists": lambda n: [[i / 3 + k for k in range(8)] for i in range(n)],
    "tags": lambda n: [{"id": i, "tags": ["t%d-%d" % (k, i) for k in range(i % 4)]} for i in range(n)],
    "dict_of_str": lambda n: {"k%09d" % i: "v%012d" % i for i in range(n)},
    "dict_of_records": lambda n: {"k%09d" % i: {"a": i, "b": i / 3} for i in range(1_000, 1_000 + n)},
    "set": lambda n: {"k%09d" % i for i in range(n)},
    "deque": lambda n: collections.deque((i + 1_000, i / 3) for i in range(n)),
    "big_ints": lambda n: [2**64 + i for i in range(n)],
}


def build(n: int = 20_000, kind: str = "coco"):
    return KINDS[kind](n)


def total(value):
    """Goes through all that there is in it."""
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Record):
        return total((value.a, value.b))
    if isinstance(value, dict):
        return sum(len(key) + total(one) for key, one in value.items())
    return 0 if value is None else sum(map(total, value))


def visit_all(data):
    return float(total(data))
