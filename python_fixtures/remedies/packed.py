"""Lists as a few arrays: of what stands in arrays no child writes a reference count."""
import dataclasses
import pickle
import sys
from array import array as _array
from collections import deque
from datetime import date as _date, datetime as _datetime, time as _time, timedelta as _timedelta
from decimal import Decimal as _Decimal
from enum import Enum, Flag
from uuid import UUID as _UUID
from _refcow_index import SOURCE as INDEX
from _refcow_places import DICTS, DoesNotApply, Room, a, attributes, dies_with_noise, is_literal, is_name, is_named_tuple, named, slots_of, told
from _refcow_sequences import SOURCE as SEQUENCES

# Whose data has none of its numbers has not imported it either.
if "numpy" in sys.modules:
    import numpy

# In the flags of a type: its class statement was executed (Py_TPFLAGS_HEAPTYPE).
IN_PYTHON = 1 << 9
# Columns that a list may become.
MOST_COLUMNS = 64
# What keeps it from that is told of so many columns.
MOST_TOLD = 2
# What may have any number of elements, and the elements that it may come to have as one column for each that it has now: that
# is more where rows share it.
LISTS = (tuple, list, set, frozenset)
MOST_SHARED = 4

# What stands in the place of None, where it is known of which kind the others are.
FILLERS = {int: 0, float: 0.0, bool: False, str: "", bytes: b""}
# What makes an object of a text or a number, and the code for that.
MADE = {
    _date: ("_date.fromordinal", "{}.toordinal()"),
    _datetime: ("_datetime.fromisoformat", "{}.isoformat()"),
    _time: ("_time.fromisoformat", "{}.isoformat()"),
    _timedelta: ("_timedelta(microseconds=1).__mul__", "{} // _timedelta(microseconds=1)"),
    complex: ("complex", "str({})"),
    _Decimal: ("_Decimal", "str({})"),
    _UUID: ("_UUID", "{}.hex"),
}


class NoColumn(DoesNotApply):
    """`place` holds what cannot be a column; `way`: what would have to be otherwise, if that is known to be enough."""

    def __init__(self, place, what, way=""):
        super().__init__("{} {} {}".format(place, "hold" if place.startswith(("the values", "the elements")) else "holds", what))
        self.way = way


def remade(make, one, slots):
    """Whether an object is made again with all that it has. Its class is the program's, and may do anything."""
    try:
        made = make()
        same = type(made) is type(one) and (not isinstance(one, tuple) or list(made) == list(tuple.__iter__(one)))
        old, new = attributes(one, slots), attributes(made, slots)
        return same and old.keys() == new.keys() and all(old[name] is new[name] for name in old)
    except BaseException:
        return False


class Writer:
    """Writes the code that makes columns of a list, `rows`, that there is room for; `name` is what its owner calls it."""

    def __init__(self, store, name, room):
        self.store, self.name, self.room = store, name, room
        self.columns = 0
        self.missing = []
        # Classes whose objects columns are being made of, the outermost first.
        self.inside = []

    def part(self, *column):
        """The code for a column, or nothing: what cannot be one is noted, so that all of it is told."""
        try:
            return self.column(*column)
        except NoColumn as reason:
            self.missing.append(reason)
            return ""

    def could(self, values):
        """Whether these values could be a column."""
        if not values:
            return False
        writer = Writer(self.store, self.name, Room(self.room.left))
        try:
            writer.part(values, "row", "rows[0]", self.name)
        except DoesNotApply:
            return False
        return not writer.missing

    def column(self, values, value, first, place):
        """The code for a column. `value` is the code that gets it of `row`, `first` of the first one; `place` says in an error
        what could not be one.
        """
        kinds = set(map(type, values))
        of_all = " of " + self.name
        short = place[: -len(of_all)] if place.endswith(of_all) else place
        no = lambda what, way="": NoColumn(place, what, way and "{} held {}".format(short, way))
        self.columns += 1
        if self.columns > MOST_COLUMNS:
            again = next((kind for kind in self.inside if self.inside.count(kind) > 1), None)
            if again:
                raise DoesNotApply("{} holds objects of {} that refer to others of them".format(self.name, again.__name__))
            raise DoesNotApply("{} would take more than {} columns".format(self.name, MOST_COLUMNS))
        each = "[{} for row in rows]".format(value) if value != "row" else "rows"
        if len(kinds) > 1 and type(None) in kinds:
            kinds.discard(type(None))
            if len(kinds) == 1:
                at = next(at for at, one in enumerate(values) if one is not None)
                first = first.replace("rows[0]", "rows[{}]".format(at), 1)
                kind = kinds.pop()
                lengths = {len(one) for one in values if one is not None} if kind in LISTS else ()
                filler = kind() if len(lengths) > 1 else FILLERS.get(kind, values[at])
                code = first if filler is values[at] else repr(filler)
                there = self.array("b", "[{} is not None for row in rows]".format(value), values)
                filled = [filler if one is None else one for one in values]
                rest = self.column(filled, "({} if {} is None else {})".format(code, value, value), first, place)
                return "PackedOptionals({}, {})".format(there, rest)
            beside = [one for one in values if one is not None]
            raise no("None beside " + named(kinds), self.of_one_type(kinds, beside, " and None"))
        if len(kinds) > 1:
            raise no(named(kinds) + " side by side", self.of_one_type(kinds, values, " alone"))
        kind = kinds.pop()
        if kind in (int, float, bool, str, bytes, type(None)) and value != "row" and (kind is float or is_literal(values[0])):
            literal = repr(values[0])
            if len(literal) <= 60 and values[0] == values[0] and all(one == values[0] for one in values) and all(
                repr(one) == literal for one in values
            ):
                if literal not in ("inf", "-inf"):
                    return "PackedConstant({}, len(rows))".format(literal)
        if kind is int:
            if not all(-(2**63) <= one < 2**63 for one in values):
                raise no("an int of more than 64 bits", "ints of 64 bits alone")
            return self.array("q", each, values)
        if kind is float:
            return self.array("d", each, values)
        if kind is bool:
            return "PackedFlags({})".format(self.array("b", each, values))
        if kind in (str, bytes):
            self.take(sum(map(len, values)) + 4 * len(values))
            store = "" if self.store == "_array" else ", " + self.store
            return "{}({}{})".format("PackedTexts" if kind is str else "PackedBytes", each, store)
        if kind in LISTS and (kind not in (tuple, list) or not 0 < len(values[0]) <= MOST_COLUMNS or any(
            len(one) != len(values[0]) for one in values
        )):
            return self.lists(values, each, place, no)
        if kind in (tuple, list) or is_named_tuple(kind):
            if not values[0] or len(values[0]) > MOST_COLUMNS:
                raise no("objects of {} with no fields, or more than {}".format(kind.__name__, MOST_COLUMNS))
            if kind not in (tuple, list):
                if any(attributes(one, {}) for one in values):
                    raise no("objects of {} with attributes besides their fields".format(kind.__name__))
                self.can_be_made(lambda: kind._make(tuple.__iter__(values[0])), values[0], {}, no)
            columns = [
                self.part([one[index] for one in values], "{}[{}]".format(value, index), "{}[{}]".format(first, index),
                          "place {} of {}".format(index, place))
                for index in range(len(values[0]))
            ]
            make = kind.__name__ if kind in (tuple, list) else "type({})._make".format(first)
            return self.rows("PackedRows({}, ".format(make), columns)
        if kind is dict:
            keys = tuple(values[0])
            if len(keys) > MOST_COLUMNS:
                raise no("dicts of more than {} keys".format(MOST_COLUMNS))
            plain = set(map(type, keys)) == {str}
            if not keys or any(tuple(one) != keys for one in values) or not plain and any(
                list(map(type, one)) != list(map(type, keys)) for one in values
            ):
                if not any(values):
                    raise no("empty dicts")
                together = {key: None for one in values for key in one}
                could = len(together) <= MOST_COLUMNS and all(
                    self.could([one.get(key) for one in values]) for key in together
                )
                if len({frozenset(zip(map(type, one), one)) for one in values}) == 1:
                    raise no("dicts with the same keys in different orders", "dicts with the same keys in one order" if could else "")
                way = "dicts with the same keys, with None for what is missing" if could else ""
                raise no("dicts with different keys", way)
            if not all(type(key) is not tuple and is_literal(key) for key in keys):
                raise no("dicts with other keys than short text and numbers")
            columns = [
                self.part([one[key] for one in values], "{}[{!r}]".format(value, key), "{}[{!r}]".format(first, key),
                          "the key {!r} of {}".format(key, place))
                for key in keys
            ]
            return self.rows("PackedRecords({!r}, ".format(keys), columns)
        if kind in MADE or issubclass(kind, Enum):
            # Flags may be several at once, which have no name together.
            is_flag = issubclass(kind, Flag)
            member = ("type({})".format(first), "{}.value") if is_flag else ("type({}).__getitem__".format(first), "{}.name")
            make, code = MADE.get(kind, member)
            of = eval("lambda one: " + code.format("one"))
            made = eval(make) if kind in MADE else kind if is_flag else kind.__getitem__
            try:
                parts = list(map(of, values))
                same = all(new is one or pickle.dumps(new) == pickle.dumps(one) for new, one in zip(map(made, parts), values))
            except Exception:
                same = False
            if not same:
                raise no("objects of the type {} that are more than their text says".format(kind.__name__))
            return "PackedMade({}, {})".format(make, self.column(parts, code.format(value), first, place))
        if "numpy" in sys.modules and issubclass(kind, numpy.generic) and values[0].dtype.kind in "biufcmM":
            kept = repr(values[0].dtype.str)
            if any(one.dtype != values[0].dtype for one in values):
                raise no("objects of {} in several units".format(kind.__name__))
            self.take(len(values) * values[0].dtype.itemsize)
            made = "numpy.array({}, {})".format(each, kept)
            return made if self.store == "_array" else 'numpy.frombuffer({}("B", {}.tobytes()), {})'.format(self.store, made, kept)
        slots = slots_of(kind)
        names = tuple(filter(is_name, attributes(values[0], slots))) if kind.__flags__ & IN_PYTHON else ()
        if names or dataclasses.is_dataclass(kind):
            fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set(names)
            if not names or any(attributes(one, slots).keys() != fields for one in values):
                what = "other attributes than its fields" if dataclasses.is_dataclass(kind) else "other attributes than the first of them"
                raise no("objects of {} with {}".format(kind.__name__, what))

            def make():
                made = object.__new__(kind)
                for name in names:
                    object.__setattr__(made, name, getattr(values[0], name))
                return made

            self.can_be_made(make, values[0], slots, no)
            self.inside.append(kind)
            columns = [
                self.part([getattr(one, name) for one in values], "{}.{}".format(value, name), "{}.{}".format(first, name),
                          "the attribute {} of {}".format(name, place))
                for name in names
            ]
            self.inside.pop()
            return self.rows("PackedObjects(type({}), {!r}, ".format(first, names), columns)
        raise no("objects of the type " + kind.__name__)

    def lists(self, values, each, place, no):
        """The code for lists of any length: a column of what is in all of them."""
        kind, total = type(values[0]), sum(map(len, values))
        # What many rows share would be there for each of them, and rows may hold what they are in.
        if total > MOST_SHARED * sum({id(one): len(one) for one in values}.values()):
            raise no("{}s that many rows share".format(kind.__name__))
        if 8 * total > self.room.left:
            raise DoesNotApply("{} would take more than all processes take as it is as arrays".format(self.name))
        self.take(8 * len(values))
        inner = [element for one in values for element in one]
        column = "lambda rows: " + self.part(inner, "row", "rows[0]", "the elements of " + place) if inner else "list"
        store = "" if self.store == "_array" else ", " + self.store
        return "PackedLists({}, {}, {}{})".format(kind.__name__, each, column, store)

    def of_one_type(self, kinds, values, besides):
        """What a column of values of several types would have to hold: where these are numbers, the widest type of them."""
        if not all(self.could([one for one in values if type(one) is kind]) for kind in kinds):
            return ""
        return "floats" + besides if kinds == {int, float} else "one type" + besides

    def can_be_made(self, make, one, slots, no):
        """Refuses objects of a class that cannot be made from their fields."""
        kind = type(one)
        if dies_with_noise(kind):
            raise no("objects of {}, whose __del__ would run each time that one was made for an access".format(kind.__name__))
        if not remade(make, one, slots):
            raise no("objects of {} that have more to them than their fields".format(kind.__name__))

    def take(self, size):
        try:
            self.room.take(size)
        except DoesNotApply as reason:
            raise DoesNotApply("{} would take {} as arrays".format(self.name, reason)) from None

    def array(self, code, each, values):
        self.take(len(values) * (1 if code == "b" else 8))
        return '{}("{}", {})'.format(self.store, code, each)

    def rows(self, opening, columns):
        lines = "\n".join(columns).replace("\n", "\n    ")
        inner = ",\n    ".join(column.replace("\n", "\n    ") for column in columns)
        return "{}[\n    {},\n])".format(opening, inner) if len(lines) > 60 else "{}[{}])".format(opening, ", ".join(columns))


def why_not(missing, name):
    """All that keeps a container from being packed and, if that is known, what would have to be otherwise."""
    text = ", and ".join(map(str, missing[:MOST_TOLD]))
    if len(missing) > MOST_TOLD:
        return "{}, and {} more like that".format(text, len(missing) - MOST_TOLD)
    if all(reason.way for reason in missing):
        text += "; if {}, {} could be packed".format(" and ".join(reason.way for reason in missing), name)
    return text


def keys_of(place, writer):
    """The code for the keys of a dict, which are `keys`."""
    keys, kinds = list(place.value), set(map(type, place.value))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind in (str, bytes):
        writer.take(sum(map(len, keys)) + 16 * len(keys))
        store = "" if writer.store == "_array" else ", " + writer.store
        return "{}(keys{})".format("PackedTexts" if kind is str else "PackedBytes", store)
    if kind is int and all(-(2**63) <= key < 2**63 for key in keys):
        writer.take(12 * len(keys))
        return writer.array("q", "keys", keys)
    raise DoesNotApply("{} is a dict with other keys than str, bytes or ints of 64 bits alone".format(place.name))


def replacement(store, form, room):
    def of(place):
        kind, name = type(place.value), place.name
        is_dict = kind in DICTS
        if kind not in (list, tuple) and not is_dict:
            what = "{} is {}, and neither a list nor a dict".format(name, a(kind))
            if kind is deque and Writer(store, name, Room(room.left)).could(list(place.value)):
                what += "; as a list it could be packed"
            raise DoesNotApply(what)
        here = Room(room.left)
        writer = Writer(store, name, here)
        keys = keys_of(place, writer) if is_dict else ""
        rows, whole = (list(place.value.values()), "the values of " + name) if is_dict else (list(place.value), name)
        column = writer.part(rows, "row", "rows[0]", whole)
        if writer.missing:
            raise DoesNotApply(why_not(writer.missing, name))
        room.take(here.taken)
        if not is_dict:
            return ["rows = {}".format(name)] + "{} = {}".format(name, column).split("\n"), form
        stored = "" if store == "_array" else ", " + store
        lines = ["keys, rows = list({0}), list({0}.values())".format(name)]
        return lines + "{} = KeyedRows({}, {}{})".format(name, keys, column, stored).split("\n"), form

    return of


def pack(data, most):
    """Each list of elements that are all alike, and each dict of such values, as a few arrays."""
    return told(data, replacement("_array", "packed arrays", Room(most)), SOURCE + SEQUENCES + INDEX)


def share(data, most):
    """The same in memory that processes share."""
    return told(data, replacement("shared_array", "packed arrays in shared memory", Room(most)), SOURCE + SEQUENCES + INDEX)
