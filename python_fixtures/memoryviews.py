"""One list of memoryviews, each a slice of one large buffer.

The content is packed into one `bytearray`, but each element still is a
Python object, with a header.

Expected, from CPython 3.8 to 3.15:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains` and `read` unshare every page of headers and
  no page of spine or payload; nearly all copies are identical. Nothing is
  saved against a list of small objects with buffers of their own: a
  memoryview's header is larger than most. `random` unshares five in six or so.
- `collect` and `allocate` unshare every page of headers: memoryviews are
  tracked.
- `collect` and `allocate` after `freeze`, and `allocate` after `disable`,
  unshare only a few pages. All other visits do what they do otherwise.

There is no `pickle`: a memoryview cannot be pickled.
"""
import sys

from _contents import rows
from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_collect, visit_allocate,
)


def build(count=2000, item_bytes=65536):
    """A list of `count` memoryviews of `item_bytes` each."""
    whole = memoryview(bytearray(count * item_bytes))
    result = [None] * count
    for index, row in enumerate(rows(count, item_bytes, 0)):
        result[index] = whole[index * item_bytes : (index + 1) * item_bytes]
        result[index][:] = row
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spine),
    `payload`, `segment`.
    """
    return list_of(count, memoryview, item_bytes, sys.getsizeof(memoryview(b"")))


def visit_read(data):
    """Adds up one byte in each 4,096 of each memoryview."""
    total = 0
    for element in data:
        total += sum(element[::4096])
    return total
