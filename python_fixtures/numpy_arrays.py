"""One list of NumPy arrays: small objects with large buffers.

Expected, from CPython 3.8 to 3.15, for items of a page or more:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains` and `read` unshare every page of headers and
  no page of spine or payload; the copies are identical. `random` unshares
  nearly every one. That the content is in NumPy changes
  nothing: the reference count is in the array's Python object, outside its
  buffer.
- `collect` unshares the page of the list's own header and those that other
  headers have in common with tracked objects of the interpreter: NumPy
  arrays are not tracked. `allocate` does the same.
- `pickle` unshares every page of headers, too, and the copies differ: an
  array that has been asked for its buffer keeps the buffer's description.

A page at the edge of spine or payload may hold memory of the interpreter as
well, and be unshared by a write to that. A page of headers that holds only
the end of one object has no count on it, and stays shared.
"""
import numpy

from _contents import check_words, rows
from _footprints import BLOCK_BYTES, list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


def build(count=2000, item_bytes=65536):
    """A list of `count` one-dimensional int64 arrays. `item_bytes` must be
    a multiple of 8.
    """
    check_words(item_bytes)
    result = [None] * count
    for index, row in enumerate(rows(count, item_bytes, 0)):
        # 64-bit integers are added up without conversion: NumPy needs no buffer of its own to read them.
        result[index] = numpy.frombuffer(row, dtype=numpy.int64).copy()
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spine),
    `payload`, `segment`.
    """
    result = list_of(count, numpy.ndarray, item_bytes)
    # NumPy keeps each array's shape and strides in a block of their own.
    result["payload"] += count * 2 * BLOCK_BYTES
    return result


def visit_read(data):
    """Adds up each array: every header, no payload."""
    total = 0
    for element in data:
        total += int(element.sum())
    return total
