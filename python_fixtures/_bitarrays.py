"""Lists of bitarrays."""
import sys

from bitarray import bitarray

from _contents import rows


def bitarrays(count, item_bytes, salt):
    """A list of `count` bitarrays, `item_bytes` of content each."""
    result = [None] * count
    for index, row in enumerate(rows(count, item_bytes, salt)):
        item = bitarray(endian=sys.byteorder)
        item.frombytes(row)
        result[index] = item
    return result
