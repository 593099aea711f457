"""The integers of `ints` in one `array.array`: one object, one buffer.

Expected, from CPython 3.8 to 3.15:

- No visit but `exit` unshares more than a page or two of the payload, at its
  edges. An int becomes an object only when a child asks for it: a new one,
  of its own.
- `header` is one object, whose page the fork's own bookkeeping may have
  copied already.
- `copy` and `pickle` give the child new pages, which are no copies of the
  parent's.
"""
from array import array

from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_sum, visit_pickle, visit_collect, visit_allocate,
)

# Above the small ints of the interpreter itself, as in `ints`.
FIRST = 1 << 16
CODES = {4: "i", 8: "q"}


def build(count=1_000_000, item_bytes=8):
    """An array of `count` successive integers of 4 or 8 bytes each."""
    if item_bytes not in CODES or FIRST + count > 1 << (8 * item_bytes - 1):
        raise ValueError(
            "item_bytes must be 8, or 4 for fewer than 2**31 - {} ints; not {} for {}".format(
                FIRST, item_bytes, count
            )
        )
    # A product allocates exactly what it holds.
    result = array(CODES[item_bytes], [0]) * count
    for index in range(count):
        result[index] = FIRST + index
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (one header),
    `payload`, `segment`.
    """
    return list_of(1, array, count * item_bytes)


def visit_read(data):
    """Adds up all ints: one by one they become objects of the child's own."""
    return sum(data)
