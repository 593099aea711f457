"""Sequences that make their elements of what stands in arrays: columns of numbers, and of text end to end.

An element is made when it is asked for, and is gone when nobody refers to it any more. Records are dicts that
cannot be changed: a change would be lost with them.
"""
from array import array as _array
from collections.abc import Sequence
from mmap import mmap as _mmap
from _refcow_index import zeros


class PackedList(Sequence):
    """A sequence that makes its elements: `element(place)`."""

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self.element(place) for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError("index out of range")
        return self.element(place)

    def __iter__(self):
        return map(self.element, range(len(self)))

    def __eq__(self, other):
        if not isinstance(other, (list, tuple, PackedList)):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other))

    def __reduce__(self):
        return list, (list(self),)


class PackedBytes(PackedList):
    """bytes, end to end."""

    encoded = decoded = staticmethod(bytes)

    def __init__(self, values, store=None):
        # Looked at twice, so that what is allocated is allocated once: holes are left by what grows.
        size = sum(len(self.encoded(value)) for value in values)
        content, ends = bytearray(size), zeros(len(values), size)
        end = 0
        for place, value in enumerate(values):
            piece = self.encoded(value)
            content[end : end + len(piece)] = piece
            end += len(piece)
            ends[place] = end
        self.content, self.ends = (store("B", content), store(ends.typecode, ends)) if store else (content, ends)

    def __len__(self):
        return len(self.ends)

    def element(self, place):
        return self.decoded(self.content[self.ends[place - 1] if place else 0 : self.ends[place]])

    def __iter__(self):
        start = 0
        for end in self.ends:
            yield self.decoded(self.content[start:end])
            start = end


class PackedTexts(PackedBytes):
    """str, as UTF-8 end to end."""

    @staticmethod
    def encoded(value):
        return value.encode("utf-8", "surrogatepass")

    @staticmethod
    def decoded(piece):
        return str(piece, "utf-8", "surrogatepass")


class PackedFlags(PackedList):
    """bool."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def element(self, place):
        return self.numbers[place] != 0


class PackedConstant(PackedList):
    """The same everywhere."""

    def __init__(self, value, length):
        self.value, self.length = value, length

    def __len__(self):
        return self.length

    def element(self, place):
        return self.value


class PackedOptionals(PackedList):
    """None, here and there."""

    def __init__(self, there, values):
        self.there, self.values = there, values

    def __len__(self):
        return len(self.there)

    def element(self, place):
        return self.values[place] if self.there[place] else None


class PackedMade(PackedList):
    """Objects, each made of a text or a number."""

    def __init__(self, make, values):
        self.make, self.values = make, values

    def __len__(self):
        return len(self.values)

    def element(self, place):
        return self.make(self.values[place])

    def __iter__(self):
        return map(self.make, self.values)


class PackedRows(PackedList):
    """Tuples or lists of one length, column by column."""

    def __init__(self, make, columns):
        self.make, self.columns = make, columns

    def __len__(self):
        return len(self.columns[0])

    def element(self, place):
        return self.make([column[place] for column in self.columns])

    def __iter__(self):
        return map(self.make, zip(*self.columns))


class PackedLists(PackedList):
    """Lists, tuples or sets of any length: all that is in them, end to end, as one column."""

    def __init__(self, make, lists, column, store=None):
        self.make, ends = make, zeros(len(lists), sum(map(len, lists)))
        end = 0
        for place, one in enumerate(lists):
            end += len(one)
            ends[place] = end
        self.ends = store(ends.typecode, ends) if store else ends
        self.values = column([value for one in lists for value in one])

    def __len__(self):
        return len(self.ends)

    def element(self, place):
        return self.make(self.values[self.ends[place - 1] if place else 0 : self.ends[place]])


class PackedRecord(dict):
    """A dict that cannot be changed."""

    def refuse(self, *arguments, **named):
        raise TypeError("this record was made for one access: a change would be lost")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = refuse

    def __reduce__(self):
        return dict, (dict(self),)


class PackedRecords(PackedRows):
    """Dicts with the same keys in the same order."""

    def __init__(self, keys, columns):
        super().__init__(lambda values: PackedRecord(zip(keys, values)), columns)


class PackedObjects(PackedRows):
    """Objects of one class with the same attributes. A change of one is lost."""

    def __init__(self, kind, names, columns):
        def make(values):
            made = object.__new__(kind)
            for name, value in zip(names, values):
                object.__setattr__(made, name, value)
            return made

        super().__init__(make, columns)


def shared_array(code, values):
    """An array in memory that processes which are forked later share, whoever writes to it."""
    values = _array(code, values)
    size = max(len(values), 1) * values.itemsize
    memory = memoryview(_mmap(-1, size)).cast("B").cast(code)
    memory[: len(values)] = values
    return memory
