"""How much memory a dataset will take, told before it is built."""
import struct

POINTER_BYTES = struct.calcsize("P")
# Both of CPython's allocators in use here (pymalloc and the C library's) hand out multiples of 16 on 64-bit machines.
ALIGNMENT_BYTES = 16
# What the C library's allocator keeps beside each block.
BLOCK_BYTES = 16
HAVE_GC = 1 << 14  # Py_TPFLAGS_HAVE_GC
GC_HEADER_BYTES = 2 * POINTER_BYTES


def aligned(size):
    """`size` rounded up to what the allocator hands out."""
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def list_of(count, element_type, item_bytes, element_bytes=None):
    """Footprint of a list of `count` elements with `item_bytes` out of line
    each (0: none).

    `element_bytes` is the size of the object struct where its type does not
    tell it.
    """
    if element_bytes is None:
        element_bytes = element_type.__basicsize__
    if element_type.__flags__ & HAVE_GC:
        element_bytes += GC_HEADER_BYTES
    payload = aligned(item_bytes) + BLOCK_BYTES if item_bytes else 0
    return {
        "objects": count * (aligned(element_bytes) + POINTER_BYTES),
        "payload": count * payload,
        "segment": 0,
        "number": count,
    }


def total(*footprints):
    """Several footprints as one."""
    keys = ["objects", "payload", "segment"]
    if all("number" in footprint for footprint in footprints):
        keys.append("number")
    return {key: sum(footprint[key] for footprint in footprints) for key in keys}
