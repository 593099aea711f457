"""What the elements of a dataset hold: the same bytes on every run,
different from element to element.

Imports nothing outside the standard library, so that a fixture needs only
what it says it needs.
"""
import array
import sys


def rows(count, item_bytes, salt):
    """Yields `count` times one and the same bytearray of `item_bytes`, its
    first word changed in between.

    Only one row exists at a time, so that building takes little more memory
    than the result. The first eight bytes are the number of the row plus
    `salt`, in the machine's byte order. Each further word has, four times
    in its lower half, a byte that counts 0 to 255 and starts over: small
    enough that no sum of 64-bit words overflows.
    """
    pattern = array.array("q", (byte * 0x01010101 for byte in range(256))).tobytes()
    row = bytearray(pattern * (item_bytes // len(pattern) + 1))
    del row[item_bytes:]
    width = min(8, item_bytes)
    mask = (1 << (8 * width)) - 1
    for index in range(count):
        row[:width] = ((index + salt) & mask).to_bytes(width, sys.byteorder)
        yield row


def check_words(item_bytes):
    """Raises ValueError unless `item_bytes` holds a whole number of 64-bit
    integers.
    """
    if item_bytes < 8 or item_bytes % 8:
        raise ValueError(
            "item_bytes must be a multiple of 8 (an array of 64-bit integers), not {}".format(item_bytes)
        )


def int_arrays(count, item_bytes, salt):
    """A list of `count` arrays of 64-bit integers, `item_bytes` of content
    each.
    """
    check_words(item_bytes)
    words = array.array("q", bytes(item_bytes))
    words_as_bytes = memoryview(words).cast("B")
    result = [None] * count
    for index, row in enumerate(rows(count, item_bytes, salt)):
        words_as_bytes[:] = row
        # A slice allocates exactly what it holds. frombytes() and append() would leave a sixteenth unused.
        result[index] = words[:]
    return result


def words(count, item_bytes):
    """Yields `count` distinct strings of `item_bytes` characters, which take
    a byte each: the numbers from 0 on.
    """
    # Strings of one character are the interpreter's own.
    least = max(2, len(str(count - 1)))
    if item_bytes < least:
        raise ValueError(
            "item_bytes must be {} or more to tell {} strings apart, not {}".format(least, count, item_bytes)
        )
    for index in range(count):
        yield str(index).zfill(item_bytes)
