"""One list of tuples, each of a few ints of its own.

A tuple's pointers stand in the object itself, beside its reference count.

Expected, from CPython 3.8 to 3.15:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains` and `pickle` unshare the pages of the tuples,
  and not those of the ints in them. `random` unshares nearly as many. `read`
  unshares every page of headers. Nearly all copies are identical, and the spine
  stays shared.
- `collect` and `allocate` unshare only the pages of the last tuples that
  were made (700, since CPython 3.13 2,000 at most) and a few that headers
  have in common with other objects: the first collection that looks at a
  tuple of ints stops tracking it, and many come while the data is built. (A
  tuple that holds a tracked object stays tracked.)
"""
from _footprints import GC_HEADER_BYTES
from _pointers import footprint_of, ranges
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=200_000, item_bytes=48):
    """A list of `count` tuples. `item_bytes` is the size of each one's
    pointers, a multiple of 8: an int for every 8 bytes.
    """
    result = [None] * count
    for index, values in enumerate(ranges(count, item_bytes)):
        result[index] = tuple(values)
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers, spine and ints),
    `payload`, `segment`.
    """
    return footprint_of(count, GC_HEADER_BYTES + tuple.__basicsize__ + item_bytes, item_bytes)


def visit_hash(data):
    """Asks for the hash of each tuple, as a lookup in a dict or a set does."""
    for element in data:
        hash(element)


def visit_read(data):
    """Adds up the ints of each tuple: the headers of both."""
    total = 0
    for element in data:
        total += sum(element)
    return total
