"""A dict of columns, each an `array.array`: what a data frame is.

NumPy's arrays would differ in nothing that matters here (see
`numpy_arrays`), and this needs none. The data is a tuple of the columns
and, last, the dict that names them, whose table is the `spine`.

Expected, from CPython 3.8 to 3.15:

- No visit but `exit` unshares more than a page or two of the payload, at its
  edges. Elements of a column become objects only when a child asks for them:
  new ones, of its own.
- `header` is one object a column. Every visit unshares those that it touches,
  `collect` and `allocate` those that are tracked: the columns, and with them
  the dict, since CPython 3.10.
- `copy` and `pickle` give the child new pages, which are no copies of the
  parent's.
"""
from array import array

from _contents import check_words
from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_sum, visit_pickle, visit_collect, visit_allocate,
)


def build(count=1_000_000, item_bytes=64):
    """A tuple of columns of `count` rows, and the dict of them. `item_bytes`
    is the size of a row, a multiple of 8: a column for every 8 bytes, of
    ints and of floats in turn.
    """
    check_words(item_bytes)
    frame = {}
    for number in range(item_bytes // 8):
        # A product allocates exactly what it holds.
        column = array("dq"[number % 2 == 0], [0]) * count
        for row in range(count):
            column[row] = number + row
        frame["column_{}".format(number)] = column
    return tuple(frame.values()) + (frame,)


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and the dict),
    `payload`, `segment`.
    """
    columns = item_bytes // 8
    result = list_of(columns, array, 8 * count)
    result["objects"] += columns * 200
    return result


def visit_read(data):
    """Adds up each column, found by its name."""
    frame = data[-1]
    total = 0
    for name in frame:
        total += sum(frame[name])
    return total
