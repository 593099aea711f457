"""One list of distinct integers from 65,536 on, each an object.

There is no payload: an int holds its digits in the object itself, beside
the reference count.

Expected, from CPython 3.8 to 3.15:

- `reference` and `length` unshare only the page that holds the list's own
  header; `index` adds that of one element.
- `iterate`, `copy`, `contains`, `sum` and `read` unshare every page of
  headers, which is all the data, and no page of the spine; the copies are
  identical. `random` unshares nearly every one: there are a hundred ints on
  a page. Only the integers that
  the interpreter keeps for itself are immortal (since 3.12, PEP 683): those
  from -5 to 256, since 3.15 to 1024. These are not.
- `collect` unshares the page of the list's own header and those that other
  headers have in common with tracked objects of the interpreter: integers
  are not tracked. `allocate` does the same.
- `pickle` unshares every page of headers since CPython 3.10.6, where it
  takes a reference to each element that it saves (pull request 92931), and
  before that only a few.
"""
import sys

from _footprints import list_of
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_sum, visit_pickle, visit_collect, visit_allocate,
)

DIGIT_BITS = sys.int_info.bits_per_digit
DIGIT_BYTES = sys.int_info.sizeof_digit
# The size of an int of one digit. Not taken from 0, of which sys.getsizeof says 28 since 3.11.2 and said 24 before.
SMALLEST_BYTES = sys.getsizeof(1)


def digits(count, item_bytes):
    """How many digits make an int of `item_bytes`. Raises ValueError where
    no int has this size.
    """
    number, rest = divmod(item_bytes - SMALLEST_BYTES, DIGIT_BYTES)
    if number < 0 or rest:
        raise ValueError(
            "item_bytes is what sys.getsizeof gives for each int: {} or more in steps of {}, not {}".format(
                SMALLEST_BYTES, DIGIT_BYTES, item_bytes
            )
        )
    if first(number + 1) + count > 1 << (DIGIT_BITS * (number + 1)):
        raise ValueError(
            "there are fewer than {} ints of {} bytes from {} on".format(count, item_bytes, first(number + 1))
        )
    return number + 1


def first(number):
    """The int of `number` digits to begin with."""
    # One digit: well above the small ints of the interpreter itself, which end at 1024 since 3.15 and at 256 before.
    return 1 << 16 if number == 1 else 1 << (DIGIT_BITS * (number - 1))


def build(count=1_000_000, item_bytes=28):
    """A list of `count` successive ints of `item_bytes` each, as
    `sys.getsizeof` counts: 28, 32, 36, …
    """
    start = first(digits(count, item_bytes))
    return list(range(start, start + count))


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers and spine),
    `payload`, `segment`.
    """
    return list_of(count, int, 0, item_bytes)


def visit_read(data):
    """Adds up all ints: the header of every element."""
    return sum(data)
