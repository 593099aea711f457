"""Lists as a few arrays: of what stands in arrays no child writes a reference count.

An element is made when it is asked for, and is gone when nobody refers to it any more. Records are dicts that
cannot be changed: a change would be lost with them. This file needs no other, and can be copied.
"""
from array import array
from collections.abc import Sequence

# A list of fewer elements is no data to be packed, but a container of some.
LEAST = 32

# Members that a container, or an object, may have whose lists are packed one by one; and how deep these may be. A container
# may be in itself.
FEW = 64
DEEPEST = 4


class DoesNotApply(Exception):
    """Nothing can be done with this data; says why."""


class Here:
    """Memory of this process."""

    def numbers(self, code, values):
        """A sequence of numbers; code is array.array's."""
        return array(code, values)

    def bytes(self, content):
        """What can be sliced like bytes."""
        return bytes(content)


class Packed(Sequence):
    """A sequence that makes its elements: `element(place)`."""

    __slots__ = ()
    __hash__ = None

    def __getitem__(self, index):
        length = len(self)
        if isinstance(index, slice):
            return [self.element(place) for place in range(*index.indices(length))]
        place = index + length if index < 0 else index
        if not 0 <= place < length:
            raise IndexError("index out of range")
        return self.element(place)

    def __iter__(self):
        return map(self.element, range(len(self)))

    def __eq__(self, other):
        if not isinstance(other, (list, tuple, Packed)):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other))


class Blobs(Packed):
    """bytes, end to end."""

    __slots__ = ("content", "ends")

    def __init__(self, values, store):
        content, ends = bytearray(), array("q")
        for value in values:
            content += self.encoded(value)
            ends.append(len(content))
        self.content, self.ends = store.bytes(content), store.numbers("q", ends)

    def __len__(self):
        return len(self.ends)

    def element(self, place):
        start = self.ends[place - 1] if place else 0
        return self.decoded(self.content[start:self.ends[place]])

    def __iter__(self):
        content, decoded, start = self.content, self.decoded, 0
        for end in self.ends:
            yield decoded(content[start:end])
            start = end

    encoded = staticmethod(bytes)
    decoded = staticmethod(bytes)


class Texts(Blobs):
    """str, as UTF-8 end to end; lone surrogates are kept."""

    __slots__ = ()

    @staticmethod
    def encoded(value):
        return value.encode("utf-8", "surrogatepass")

    @staticmethod
    def decoded(piece):
        return str(piece, "utf-8", "surrogatepass")


class Flags(Packed):
    """bool."""

    __slots__ = ("numbers",)

    def __init__(self, values, store):
        self.numbers = store.numbers("b", values)

    def __len__(self):
        return len(self.numbers)

    def element(self, place):
        return self.numbers[place] != 0


class Optionals(Packed):
    """None, here and there."""

    __slots__ = ("there", "values")

    def __init__(self, there, values):
        self.there, self.values = there, values

    def __len__(self):
        return len(self.there)

    def element(self, place):
        return self.values[place] if self.there[place] else None


class Record(dict):
    """A dict that cannot be changed."""

    __slots__ = ()

    def refuse(self, *arguments, **named):
        raise TypeError("this record was made for one access: a change would be lost")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = refuse

    def __reduce__(self):
        return dict, (dict(self),)


class Rows(Packed):
    """Tuples of one length, column by column."""

    __slots__ = ("columns",)

    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return len(self.columns[0])

    def element(self, place):
        return tuple([column[place] for column in self.columns])

    def __iter__(self):
        return zip(*self.columns)


class Records(Rows):
    """Dicts with the same keys in the same order."""

    __slots__ = ("keys",)

    def __init__(self, keys, columns):
        self.keys, self.columns = keys, columns

    def element(self, place):
        return Record(zip(self.keys, [column[place] for column in self.columns]))

    def __iter__(self):
        for values in zip(*self.columns):
            yield Record(zip(self.keys, values))


# What stands in the place of None, where it is known of which kind the others are.
FILLERS = {int: 0, float: 0.0, bool: False, str: "", bytes: b""}


def column(values, store, place="a list in it"):
    """A sequence that is equal to this one, element by element. `place` says in an error what could not be one."""
    kinds = set(map(type, values))
    absent = type(None) in kinds
    kinds.discard(type(None))
    no = lambda what: DoesNotApply("{} holds {}".format(place, what))
    if not kinds:
        raise no("nothing but None")
    if len(kinds) > 1:
        raise no(" and ".join(sorted(kind.__name__ for kind in kinds)[:3]) + " side by side")
    kind = kinds.pop()
    if absent:
        if kind not in FILLERS:
            raise no("None beside " + kind.__name__)
        filler = FILLERS[kind]
        there = store.numbers("b", [value is not None for value in values])
        return Optionals(there, column([filler if value is None else value for value in values], store, place))
    if kind is int:
        try:
            return store.numbers("q", values)
        except OverflowError:
            raise no("an int of more than 64 bits") from None
    if kind is float:
        return store.numbers("d", values)
    if kind is bool:
        return Flags(values, store)
    if kind is bytes:
        return Blobs(values, store)
    if kind is str:
        return Texts(values, store)
    if kind is tuple:
        width = len(values[0])
        if not width or any(len(value) != width for value in values):
            raise no("tuples that are empty, or not of one length")
        named = "place {} of the tuples".format
        return Rows([column([value[index] for value in values], store, named(index)) for index in range(width)])
    if kind is dict:
        keys = tuple(values[0])
        if not keys or any(tuple(value) != keys for value in values):
            raise no("dicts that are empty, or have not the same keys in the same order")
        named = "the key {!r}".format
        return Records(keys, [column([value[key] for value in values], store, named(key)) for key in keys])
    raise no("objects of the type " + kind.__name__)


def replaced(data, store, reasons, depth=0):
    """The data with each list packed in it that can be; itself, if none can."""
    kind = type(data)
    if kind in (list, tuple) and len(data) >= LEAST:
        try:
            return column(data, store)
        except DoesNotApply as reason:
            reasons.append(str(reason))
    if depth == DEEPEST:
        return data
    if kind in (list, tuple, dict):
        members = data if kind is dict else dict(enumerate(data))
    else:
        # Attributes, but for what hides them.
        try:
            members = object.__getattribute__(data, "__dict__")
        except AttributeError:
            return data
        if type(members) is not dict or isinstance(data, type):
            return data
    if len(members) > FEW:
        return data
    others = {name: replaced(member, store, reasons, depth + 1) for name, member in members.items()}
    if all(others[name] is member for name, member in members.items()):
        return data
    if kind is dict:
        return others
    if kind in (list, tuple):
        return kind(others.values())
    # The same object with other attributes: where a class is laid out otherwise, there is no such thing.
    try:
        other = object.__new__(kind)
    except TypeError:
        return data
    object.__getattribute__(other, "__dict__").update(others)
    return other


def pack(data, store=None):
    """The data with its lists packed."""
    reasons = []
    packed = replaced(data, store or Here(), reasons)
    if packed is data:
        least = "there is no list or tuple of {} or more elements in it".format(LEAST)
        raise DoesNotApply(reasons[0] if reasons else least)
    return packed
