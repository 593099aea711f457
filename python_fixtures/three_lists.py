"""Three large lists: one of bitarrays, two of integer arrays.

The article's own example. Each list holds `count` objects; each object
keeps `item_bytes` of content in a buffer out of line. The data is a tuple
of the three lists.

Expected, from CPython 3.8 to 3.15, for items of a page or more:

- `reference` and `length` unshare only the pages that hold the headers of
  the three lists.
- `index` adds the page of one element's header in each list.
- `iterate` unshares every page of headers: binding a name to an element
  changes the reference count at the start of its object. The spine (the
  lists' pointers) is only read, and so is the payload: no page of either is
  unshared. Each count goes back to what it was, so that the copies are
  identical to their originals.
- `copy`, `contains`, `pickle` and `read` unshare what `iterate` does and no
  more: the content of an element is read, not written. `random` unshares
  nearly as much.
- `collect` writes the GC header of every tracked object. Until 3.9 these
  are the three lists alone. Since 3.10 `array.array` is tracked too, which
  adds all headers of the two lists of integer arrays. Bitarrays are not
  tracked: their headers stay shared, but for a page that they have in
  common with a tracked object. `allocate` does the same.

A page at the edge of spine or payload may hold memory of the interpreter as
well, and be unshared by a write to that. A page of headers that holds only
the end of one object has no count on it, and stays shared.
"""
from array import array

from _bitarrays import bitarrays
from _contents import check_words, int_arrays
from _footprints import list_of, total
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=2000, item_bytes=65536):
    """A tuple of three lists of `count` elements each. `item_bytes` must be
    a multiple of 8.
    """
    check_words(item_bytes)
    return (
        bitarrays(count, item_bytes, 0),
        int_arrays(count, item_bytes, count),
        int_arrays(count, item_bytes, 2 * count),
    )


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spines),
    `payload`, `segment`.
    """
    from bitarray import bitarray

    integers = list_of(count, array, item_bytes)
    return total(list_of(count, bitarray, item_bytes), integers, integers)


def visit_read(data):
    """Counts the bits of each bitarray, adds up each integer array."""
    bits, first, second = data
    total = 0
    for element in bits:
        total += element.count()
    for sequence in (first, second):
        for element in sequence:
            total += sum(element)
    return total
