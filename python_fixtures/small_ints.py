"""One list of integers below 256: pointers to the same 256 objects.

The interpreter keeps these for itself; they are made once.

Expected:

- `reference` and `length` unshare only the page that holds the list's own
  header.
- `index` and all that looks at the elements (`iterate`, `random`, `copy`,
  `contains`, `sum`, `pickle`, `read`): since CPython 3.12 small integers are
  immortal (PEP 683): no reference count is written and none of their pages
  is unshared. Until 3.11 the counts are written like all others, but 256
  objects fill only a few pages: these are all that is unshared, however
  long the list is. The spine stays shared.
- `collect` unshares the page of the list's own header and those that other
  headers have in common with tracked objects of the interpreter: integers
  are not tracked. `allocate` does the same.
"""
import sys

from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_sum, visit_pickle, visit_collect, visit_allocate,
)

ITEM_BYTES = sys.getsizeof(1)


def build(count=1_000_000, item_bytes=28):
    """A list of `count` ints from 0 to 255, over and over. `item_bytes` is
    the size of an int and cannot be chosen.
    """
    if item_bytes != ITEM_BYTES:
        raise ValueError(
            "an int below 256 takes {} bytes: item_bytes cannot be {}".format(ITEM_BYTES, item_bytes)
        )
    result = [None] * count
    for index in range(count):
        result[index] = index % 256
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (the spine: the ints
    exist already), `payload`, `segment`.
    """
    return list_of(count, int, 0, 0)


def visit_read(data):
    """Adds up all ints: what `iterate` does, and no more."""
    return sum(data)
