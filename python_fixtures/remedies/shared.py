"""Lists as a few NumPy arrays in shared memory, which a fork does not copy on write."""
import os
from multiprocessing import shared_memory

import numpy

import _refcow_packed
from _refcow_packed import DoesNotApply, Packed


class Block(shared_memory.SharedMemory):
    """A block that ends with its process: `__del__` would close the mapping, and say that arrays still look into it."""

    def __del__(self):
        pass


class Numbers(Packed):
    """Numbers of Python's over an array of NumPy's, `array`, which can be had whole."""

    __slots__ = ("array",)

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def element(self, place):
        return self.array.item(place)

    def __iter__(self):
        # A thousand at a time: one by one takes five times as long, and all at once would be the list again.
        for start in range(0, len(self.array), 1024):
            yield from self.array[start:start + 1024].tolist()


class Shared:
    """Blocks without a name: children inherit the mapping, and nothing is left in /dev/shm however processes end."""

    def block(self, size):
        # By this name whoever started this process finds a block that was not unlinked yet when it was killed.
        name = "{}-{}".format(os.environ["REFCOW_SUBJECT"], os.urandom(4).hex())
        block = Block(name=name, create=True, size=max(size, 1))
        try:
            file = os.open("/dev/shm/" + name, os.O_RDWR | os.O_CLOEXEC)
        finally:
            block.unlink()
        try:
            # Memory that is not reserved is missed only at the first write, by SIGBUS.
            os.posix_fallocate(file, 0, max(size, 1))
        except OSError as error:
            block.close()
            raise DoesNotApply("there is no room for {} bytes in /dev/shm: {}".format(size, error.strerror)) from None
        finally:
            os.close(file)
        return block

    def array(self, dtype, values):
        values = numpy.array(values, dtype=dtype)
        block = self.block(values.nbytes)
        array = numpy.ndarray(values.shape, dtype=dtype, buffer=block.buf)
        array[:] = values
        return array

    def numbers(self, code, values):
        return Numbers(self.array({"q": numpy.int64, "d": numpy.float64, "b": numpy.int8}[code], values))

    def bytes(self, content):
        return memoryview(self.array(numpy.uint8, numpy.frombuffer(content, dtype=numpy.uint8)))


def share(data):
    """The data with its lists in shared memory."""
    return _refcow_packed.pack(data, Shared())
