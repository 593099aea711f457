"""Rows as pickles, end to end in one buffer: no child writes a reference count there.

A row is made when it is asked for, and is gone when nobody refers to it any more. It is equal to the one that was put in, of
the same types, and a change of it is lost.
"""
import pickle
from array import array as _array
from collections.abc import Set
from _refcow_index import SOURCE as INDEX, EndToEnd, HashIndex
from _refcow_places import DICTS, DoesNotApply, Room, dies_with_noise, said, told


class PickledRows(EndToEnd):
    """Rows in one buffer. Each access makes one anew; changing it changes nothing here."""

    def __init__(self, rows):
        self.kind, self.pickles, self.ends = type(rows), bytearray(), _array("Q")
        for row in rows:
            self.pickles += pickle.dumps(row, -1)
            self.ends.append(len(self.pickles))

    def part(self, start, end):
        return pickle.loads(self.pickles[start:end])

    def __eq__(self, other):
        return isinstance(other, self.kind) and len(self) == len(other) and all(a == b for a, b in zip(self, other))


class PickledSet(Set):
    """Elements in one buffer, found by their hashes."""

    def __init__(self, elements):
        self.kind, elements = type(elements), list(elements)
        self.elements, self.index = PickledRows(elements), HashIndex(elements)

    def __contains__(self, element):
        return self.index.find(element, self.elements) >= 0

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


OF_DICTS = "KeyedRows(PickledRows(list({0})), PickledRows(list({0}.values())))"
CODE = {**dict.fromkeys(DICTS, OF_DICTS), set: "PickledSet({0})", frozenset: "PickledSet({0})"}


class Sizes(pickle.Pickler):
    """How much rows take as pickles, as far as there is room for them."""

    def __init__(self, room):
        super().__init__(self, -1)
        self.room = room

    def write(self, piece):
        self.room.take(memoryview(piece).nbytes)

    def reducer_override(self, one):
        if dies_with_noise(type(one)):
            text = "objects of {}, whose __del__ would run each time that one was made for an access"
            raise DoesNotApply(text.format(type(one).__name__))
        return NotImplemented


def shared(rows, room):
    """Whether pickles of these rows, which there is no room for, hold what they share so often that they are twice as large."""
    most = Room(room.taken // 2)
    together = Sizes(most)
    try:
        # Each is written once, and is referred to afterwards.
        for row in rows:
            together.dump(row)
    except DoesNotApply:
        return False
    return True


def replacement(room):
    def of(place):
        rows = list(place.value.items()) if type(place.value) in DICTS else place.value
        here = Room(room.left)
        sizes = Sizes(here)
        for number, row in enumerate(rows):
            try:
                sizes.clear_memo()
                sizes.dump(row)
                here.take(8)
            except DoesNotApply as reason:
                if here.left >= 0:
                    raise DoesNotApply("{} holds {}".format(place.name, reason)) from None
                text = "the first {:,} of {:,} rows of {} take more as pickles than all processes take as it is".format(
                    number + 1, len(rows), place.name
                )
                if shared([row for row, _ in zip(rows, range(number + 1))], here):
                    text += ": what rows share would be in the pickle of each"
                raise DoesNotApply(text) from None
            except BaseException as error:
                raise DoesNotApply("{} holds what cannot be pickled ({})".format(place.name, said(error))) from None
        room.take(here.taken)
        code = CODE.get(type(place.value), "PickledRows({0})")
        return ["{} = {}".format(place.name, code.format(place.name))], "pickled rows"

    return of


def code(data, most):
    """Every large container as pickled rows, if they do not take more than so many bytes."""
    return told(data, replacement(Room(most)), INDEX + SOURCE)
