"""One list of integer arrays (`array.array`), tracked since CPython 3.10.

Expected, for items of a page or more:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains`, `pickle` and `read` unshare every page of
  headers and no page of spine or payload; the copies are identical
  (nearly all, of `pickle`). `random` unshares nearly every one.
- `collect` unshares little more than the page of the list's own header
  until 3.9, and every page of headers since 3.10, where the collector tracks
  `array.array` (issue 42972): a collection writes the GC header of each
  object that it tracks. `allocate` does the same.

A page at the edge of spine or payload may hold memory of the interpreter as
well, and be unshared by a write to that. A page of headers that holds only
the end of one object has no count on it, and stays shared.
"""
from array import array

from _contents import int_arrays
from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=2000, item_bytes=65536):
    """A list of `count` arrays of 64-bit integers. `item_bytes` must be a
    multiple of 8.
    """
    return int_arrays(count, item_bytes, 0)


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spine),
    `payload`, `segment`.
    """
    return list_of(count, array, item_bytes)


def visit_read(data):
    """Adds up each array's integers: every header, no payload."""
    total = 0
    for element in data:
        total += sum(element)
    return total
