"""One list of bitarrays: objects that the garbage collector does not track.

Expected, from CPython 3.8 to 3.15, for items of a page or more:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains`, `pickle` and `read` unshare every page of
  headers and no page of spine or payload; the copies are identical
  (nearly all, of `pickle`). `random` unshares nearly every one.
- `collect` unshares the page of the list's own header, and pages that
  headers have in common with tracked objects of the interpreter: the
  elements themselves are not tracked. `allocate` does the same.

A page at the edge of spine or payload may hold memory of the interpreter as
well, and be unshared by a write to that. A page of headers that holds only
the end of one object has no count on it, and stays shared.
"""
from _bitarrays import bitarrays
from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=2000, item_bytes=65536):
    """A list of `count` bitarrays."""
    return bitarrays(count, item_bytes, 0)


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spine),
    `payload`, `segment`.
    """
    from bitarray import bitarray

    return list_of(count, bitarray, item_bytes)


def visit_read(data):
    """Counts the bits of each bitarray: every header, no payload."""
    total = 0
    for element in data:
        total += element.count()
    return total
