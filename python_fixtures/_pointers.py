"""Elements that hold references to ints of their own."""
from _footprints import POINTER_BYTES, aligned

# Above the small ints of the interpreter itself, which end at 1024 since 3.15 and at 256 before.
FIRST = 1 << 16
INT_BYTES = 32


def ranges(count, item_bytes):
    """Yields `count` ranges of as many ints each as pointers make
    `item_bytes`; no int is in two of them.

    Raises ValueError unless `item_bytes` holds a whole number of pointers.
    """
    each = length(item_bytes)
    for start in range(FIRST, FIRST + count * each, each):
        yield range(start, start + each)


def length(item_bytes):
    """How many pointers make `item_bytes`. Raises ValueError if none or not
    a whole number do.
    """
    if item_bytes < POINTER_BYTES or item_bytes % POINTER_BYTES:
        raise ValueError(
            "item_bytes must be a multiple of {} (a pointer to each of the values), not {}".format(
                POINTER_BYTES, item_bytes
            )
        )
    return item_bytes // POINTER_BYTES


def footprint_of(count, element_bytes, item_bytes):
    """Footprint of a list of `count` elements of `element_bytes` in all,
    and the ints that they refer to.
    """
    values = length(item_bytes) * INT_BYTES
    return {
        "objects": count * (aligned(element_bytes) + values + POINTER_BYTES),
        "payload": 0,
        "segment": 0,
    }
