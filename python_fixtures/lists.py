"""One list of lists, each of a few ints of its own.

Expected, from CPython 3.8 to 3.15:

- `reference` and `length` unshare only the page that holds the outer list's
  own header; `index` adds that of one element.
- `iterate`, `copy` and `contains` unshare the pages with headers of the
  inner lists, and not those of the ints in them: only what is touched is
  written. `random` unshares nearly as many. `read` unshares every page of
  headers. The copies are identical, and the spines stay shared.
- `collect` writes the GC header of every inner list, which is what `iterate`
  unshares. What it finds in the lists it writes to only if it is tracked,
  and ints are not. `allocate` does the same.
- `pickle` unshares every page of headers since CPython 3.10.6, where it
  takes a reference to each element that it saves (pull request 92931), and
  before that those of the inner lists alone.
- `collect` and `allocate` after `freeze`, and `allocate` after `disable`,
  unshare only a few pages. All other visits do what they do otherwise.

An inner list's pointers may stand on a page with headers, which counts as
`header`.
"""
from _footprints import GC_HEADER_BYTES, aligned
from _pointers import footprint_of, ranges
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=200_000, item_bytes=48):
    """A list of `count` lists. `item_bytes` is the size of each one's array
    of pointers, a multiple of 8: an int for every 8 bytes.
    """
    result = [None] * count
    for index, values in enumerate(ranges(count, item_bytes)):
        result[index] = list(values)
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers, spines and ints),
    `payload`, `segment`.
    """
    element_bytes = aligned(list.__basicsize__ + GC_HEADER_BYTES) + aligned(item_bytes)
    return footprint_of(count, element_bytes, item_bytes)


def visit_read(data):
    """Adds up the ints of each list: the headers of both."""
    total = 0
    for element in data:
        total += sum(element)
    return total
