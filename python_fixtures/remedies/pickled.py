"""Rows as pickles, end to end in one buffer: no child writes a reference count there.

A row is made when it is asked for, and is gone when nobody refers to it any more. It is equal to the one that was put in, of
the same types, and a change of it is lost.
"""
import pickle
from array import array as _array
from collections import deque
from collections.abc import ItemsView, Mapping, Sequence, Set, ValuesView
from _refcow_places import DoesNotApply, told


class PickledRows(Sequence):
    """Rows in one buffer. Each access makes one anew; changing it changes nothing here."""

    def __init__(self, rows):
        self.kind, self.pickles, self.ends = type(rows), bytearray(), _array("Q")
        for row in rows:
            self.pickles += pickle.dumps(row, -1)
            self.ends.append(len(self.pickles))

    def __len__(self):
        return len(self.ends)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.kind([self[place] for place in range(*index.indices(len(self)))])
        end = self.ends[index]
        place = index + len(self) if index < 0 else index
        return pickle.loads(self.pickles[self.ends[place - 1] if place else 0 : end])

    def __iter__(self):
        start = 0
        for end in self.ends:
            yield pickle.loads(self.pickles[start:end])
            start = end

    def __eq__(self, other):
        return isinstance(other, self.kind) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    def __reduce__(self):
        return self.kind, (list(self),)

    __class__ = property(lambda self: self.kind)  # for isinstance()


class PickledSet(Set):
    """Elements in one buffer, found by their hashes."""

    def __init__(self, elements):
        self.kind, elements = type(elements), list(elements)
        self.elements = PickledRows(elements)
        self.hashes = _array("q", map(hash, elements))
        self.mask = (1 << (2 * len(elements)).bit_length()) - 1
        self.slots = _array("i", bytes(4 * (self.mask + 1)))
        for number, digest in enumerate(self.hashes, 1):
            slot = digest & self.mask
            while self.slots[slot]:
                slot = (slot + 1) & self.mask
            self.slots[slot] = number

    def find(self, element):
        """Its place, or -1."""
        digest = hash(element)
        slot = digest & self.mask
        while self.slots[slot]:
            place = self.slots[slot] - 1
            if self.hashes[place] == digest and self.elements[place] == element:
                return place
            slot = (slot + 1) & self.mask
        return -1

    def __contains__(self, element):
        return self.find(element) >= 0

    def __iter__(self):
        return iter(self.elements)

    def __len__(self):
        return len(self.elements)

    def __reduce__(self):
        return self.kind, (list(self),)

    @classmethod
    def _from_iterable(cls, elements):
        return set(elements)

    __class__ = property(lambda self: self.kind)  # for isinstance()


class PickledDict(Mapping):
    """Keys in one buffer, found by their hashes, and values in another. Each access makes a value anew."""

    def __init__(self, entries):
        self.names, self.rows = PickledSet(entries), PickledRows(list(entries.values()))

    def __getitem__(self, key):
        place = self.names.find(key)
        if place < 0:
            raise KeyError(key)
        return self.rows[place]

    def __contains__(self, key):
        return key in self.names

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.rows)

    def items(self):
        return PickledItems(self)

    def values(self):
        return PickledValues(self)

    def __reduce__(self):
        return dict, (list(self.items()),)

    __class__ = property(lambda self: dict)  # for isinstance()


class PickledItems(ItemsView):
    def __iter__(self):
        return zip(self._mapping.names, self._mapping.rows)


class PickledValues(ValuesView):
    def __iter__(self):
        return iter(self._mapping.rows)


FORMS = {list: PickledRows, tuple: PickledRows, deque: PickledRows, dict: PickledDict, set: PickledSet, frozenset: PickledSet}


def replacement(place):
    form = FORMS[type(place.value)]
    try:
        for part in place.value.items() if type(place.value) is dict else place.value:
            pickle.dumps(part, -1)
    except Exception as error:
        text = "{}: {}".format(type(error).__name__, error)
        raise DoesNotApply("{} holds what cannot be pickled ({})".format(place.name, text)) from None
    return ["{0} = {1}({0})".format(place.name, form.__name__)], "pickled rows"


def code(data):
    """Every large container as pickled rows."""
    return told(data, replacement, SOURCE)
