"""One list of distinct floats, each an object.

There is no payload: a float holds its number in the object itself, beside
the reference count.

Expected, from CPython 3.8 to 3.15:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains`, `sum` and `read` unshare every page of
  headers, which is all the data, and no page of the spine; the copies are
  identical (but where the result of a sum takes a float's place). `random`
  unshares nearly every one: there are a hundred floats on a page.
- `collect` and `allocate` unshare the page of the list's own header and those
  that other headers have in common with tracked objects of the interpreter:
  floats are not tracked.
- `pickle` unshares every page of headers since CPython 3.10.6, where it
  takes a reference to each element that it saves (pull request 92931), and
  before that only a few.
"""
import sys

from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_sum, visit_pickle, visit_collect, visit_allocate,
)

ITEM_BYTES = sys.getsizeof(0.5)


def build(count=1_000_000, item_bytes=24):
    """A list of `count` floats: 0.5, 1.5, … `item_bytes` is the size of a
    float and cannot be chosen.
    """
    if item_bytes != ITEM_BYTES:
        raise ValueError("a float takes {} bytes: item_bytes cannot be {}".format(ITEM_BYTES, item_bytes))
    result = [None] * count
    for index in range(count):
        result[index] = index + 0.5
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spine),
    `payload`, `segment`.
    """
    return list_of(count, float, 0)


def visit_read(data):
    """Adds up all floats: the header of every element."""
    return sum(data)
