"""Two lists of instances, one with `__slots__`, one with `__dict__`.

Both have the same attributes, each an int of its own. The data is a tuple
of the two lists.

Expected, from CPython 3.8 to 3.15:

- `header` is each instance's struct, with its slots, each `__dict__` that
  there is, and the attributes' values: the ints. `spine` is the lists'
  pointers and the attributes' tables. Until CPython 3.10 each instance of
  the second list has a dict of its own; 3.11 and 3.12 have a table alone,
  and since 3.13 the attributes stand in the instance.
- `reference` and `length` unshare only the pages that hold the two lists'
  own headers; `index` adds those of one element each.
- `iterate`, `copy` and `contains` unshare every page with an instance's
  struct, and not those of the dicts and ints; nearly all copies are
  identical. `random` unshares nearly as many.
- `read` unshares every page of headers.
- `pickle` unshares nearly every page of headers. Many copies differ: asking
  for an instance's `__dict__` makes one since 3.11, and a collection may fall
  into the visit.
- `collect` and `allocate` unshare every page with an instance's struct:
  instances are tracked.
- `collect` and `allocate` after `freeze`, and `allocate` after `disable`,
  unshare only a few pages. All other visits do what they do otherwise.
"""
from _footprints import total
from _pointers import footprint_of, length, ranges
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_contains, visit_pickle, visit_collect, visit_allocate,
)


class Plain:
    """Has a `__dict__`, or what CPython keeps in its place."""


def build(count=100_000, item_bytes=48):
    """A tuple of two lists of `count` instances each. `item_bytes`, a
    multiple of 8, says how many attributes each has: one for every 8 bytes.
    """
    names = ["name_{}".format(index) for index in range(length(item_bytes))]
    # Pickle finds a class by its name in its module.
    global Slotted
    Slotted = type("Slotted", (), {"__slots__": names, "__module__": __name__})
    result = []
    for kind in (Slotted, Plain):
        instances = [None] * count
        for index, values in enumerate(ranges(count, item_bytes)):
            instance = instances[index] = kind()
            for name, value in zip(names, values):
                setattr(instance, name, value)
        result.append(instances)
    return tuple(result)


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects` (headers, attributes, spines and ints),
    `payload`, `segment`.
    """
    return total(
        footprint_of(count, 32 + item_bytes, item_bytes),
        # A dict of its own with a table of values is the most that an instance needs, until 3.10.
        footprint_of(count, 200 + 2 * item_bytes, item_bytes),
    )


def visit_read(data):
    """Asks each instance for its first attribute, by name."""
    total = 0
    for sequence in data:
        for element in sequence:
            total += element.name_0
    return total
