"""Rows that are found in one buffer: by their places, and by keys. The numbers of places stand in an array, at the hashes of keys."""
from array import array as _array
from collections.abc import ItemsView, Mapping, Sequence, ValuesView


def zeros(number, most):
    """An array for so many numbers up to this. One of less than 128 KiB has no mapping of its own (glibc): on the heap, behind what
    was freed, it would keep that from being given back.
    """
    return _array(*(("I", bytes(4 * number)) if most < 1 << 32 and number >= 1 << 15 else ("Q", bytes(8 * number))))


class EndToEnd(Sequence):
    """What stands end to end, of which `ends` says where each ends. Each access makes one anew: `part(start, end)`."""

    def __len__(self):
        return len(self.ends)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.kind([self[place] for place in range(*index.indices(len(self)))])
        end = self.ends[index]
        place = index + len(self) if index < 0 else index
        return self.part(self.ends[place - 1] if place else 0, end)

    def __iter__(self):
        start = 0
        for end in self.ends:
            yield self.part(start, end)
            start = end

    def __reduce__(self):
        return self.kind, (list(self),)

    __class__ = property(lambda self: self.kind)  # for isinstance()


class HashIndex:
    """Where keys are. A key's hash is that of the process that made this, and of those that were forked from it."""

    def __init__(self, keys, store=None):
        self.bits = (3 * len(keys) // 2).bit_length()
        digests, slots = zeros(len(keys), 0), zeros(1 << self.bits, len(keys))
        for place, key in enumerate(keys):
            digests[place] = self.digest(key)
            slot = self.first(digests[place])
            while slots[slot]:
                slot = (slot + 1) % len(slots)
            slots[slot] = place + 1
        self.digests, self.slots = (store(one.typecode, one) if store else one for one in (digests, slots))

    @staticmethod
    def digest(key):
        number = hash(key)
        return (number ^ number >> 32) & 0xFFFFFFFF

    def first(self, digest):
        # Spread out: keys that differ in few bits begin at slots that are far apart.
        return (digest * 0x9E3779B1 & 0xFFFFFFFF) >> (32 - self.bits)

    def find(self, key, keys):
        """The place of a key among the keys, or -1."""
        digest = self.digest(key)
        slot = self.first(digest)
        while self.slots[slot]:
            place = self.slots[slot] - 1
            if self.digests[place] == digest and keys[place] == key:
                return place
            slot = (slot + 1) % len(self.slots)
        return -1


class KeyedRows(Mapping):
    """A dict as two sequences, of keys and of values. Each access makes a value anew."""

    def __init__(self, names, rows, store=None):
        self.names, self.rows, self.index = names, rows, HashIndex(names, store)

    def __getitem__(self, key):
        place = self.index.find(key, self.names)
        if place < 0:
            raise KeyError(key)
        return self.rows[place]

    def __contains__(self, key):
        return self.index.find(key, self.names) >= 0

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.rows)

    def items(self):
        return KeyedItems(self)

    def values(self):
        return KeyedValues(self)

    def __reduce__(self):
        return dict, (list(self.items()),)

    __class__ = property(lambda self: dict)  # for isinstance()


class KeyedItems(ItemsView):
    def __iter__(self):
        return zip(self._mapping.names, self._mapping.rows)


class KeyedValues(ValuesView):
    def __iter__(self):
        return iter(self._mapping.rows)
