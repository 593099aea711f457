"""One list of distinct strings, each an object.

There is no payload: a string holds its characters in the object itself,
behind the reference count.

Expected, from CPython 3.8 to 3.15:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains`, `pickle` and `read` unshare every page on
  which an element begins, and no page of the spine; nearly all copies
  are identical. For small elements that is every page of headers, which is all
  the data. Of an element longer than a page it is the first page alone.
- `random` unshares nearly as many where ten elements or more stand on a
  page, and a tenth where each has a page of its own.
- `collect` and `allocate` unshare the page of the list's own header and those
  that other headers have in common with tracked objects of the interpreter:
  the elements are not tracked.
"""
import sys

from _contents import words
from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=500_000, item_bytes=16):
    """A list of `count` strings of `item_bytes` characters, which take a
    byte each: the numbers from 0 on.
    """
    result = [None] * count
    for index, word in enumerate(words(count, item_bytes)):
        result[index] = word
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spine),
    `payload`, `segment`.
    """
    return list_of(count, str, 0, sys.getsizeof("") + item_bytes)


def visit_read(data):
    """Counts a digit in each string."""
    total = 0
    for element in data:
        total += element.count("7")
    return total
