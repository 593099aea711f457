"""One list of distinct strings that `sys.intern` has interned.

As names of attributes and keys of JSON objects often are.

Expected:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains`, `pickle` and `read` unshare every page of
  headers, and no page of the spine; nearly all copies are identical. `random`
  unshares nearly every one.
- From CPython 3.12.0 to 3.12.6 interned strings were immortal (PEP 683), and
  none of these unshares a page of theirs. Since 3.12.7, and in 3.13, the
  counts of strings that were interned while the program ran are written
  again (issue 113993).
- `collect` and `allocate` unshare the page of the list's own header and those
  that other headers have in common with tracked objects of the interpreter:
  strings are not tracked.
"""
import sys

from _contents import words
from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)

# At most, of each string: a place of three words, and room for as many again when the table has grown.
TABLE_BYTES = 100


def build(count=200_000, item_bytes=16):
    """A list of `count` strings of `item_bytes` characters, which take a
    byte each: the numbers from 0 on.
    """
    result = [None] * count
    for index, word in enumerate(words(count, item_bytes)):
        result[index] = sys.intern(word)
    return result


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers, spine, and the
    interpreter's table of interned strings), `payload`, `segment`.
    """
    return list_of(count, str, 0, sys.getsizeof("") + item_bytes + TABLE_BYTES)


def visit_read(data):
    """Counts a digit in each string."""
    total = 0
    for element in data:
        total += element.count("7")
    return total
