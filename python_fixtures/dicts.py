"""One list of dicts with the same keys, each with ints of its own.

Expected, from CPython 3.8 to 3.15:

- `header` is each dict's own struct, and the keys and values: the ints.
  `spine` is the list's pointers and each dict's table.
- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy` and `contains` unshare every page with a dict's struct,
  and not those of the ints; the copies are identical. `random` unshares
  nearly as many. `read` unshares every page of headers. Tables are only read.
- `collect` and `allocate` unshare every page with a dict's struct since
  CPython 3.14, which tracks every dict. Until 3.13 a dict that never held a
  tracked object was not tracked itself: only a few pages.
- `pickle` unshares every page with a dict's struct. Since CPython 3.10.6,
  where it takes a reference to each element that it saves (pull request
  92931), it unshares every page of headers.
"""
from _pointers import footprint_of, length, ranges
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=100_000, item_bytes=48):
    """A list of `count` dicts. `item_bytes`, a multiple of 8, says how many
    values each has: one for every 8 bytes.
    """
    names = ["key_{}".format(index) for index in range(length(item_bytes))]
    result = [None] * count
    for index, values in enumerate(ranges(count, item_bytes)):
        result[index] = dict(zip(names, values))
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers, tables, spine and ints),
    `payload`, `segment`.
    """
    # A table has room for half as many entries again as it holds, or more, of three words each beside its index.
    return footprint_of(count, 200 + 6 * item_bytes, item_bytes)


def visit_read(data):
    """Adds up the values of each dict."""
    total = 0
    for element in data:
        total += sum(element.values())
    return total
