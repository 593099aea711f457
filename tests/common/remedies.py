"""Code that remedies write, pasted into modules that have names like its own: what it makes of data does what the data does."""
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import os
import pickle
import sys
import types
import uuid

REMEDIES = sys.argv[1]


def load(name):
    """As refcow loads it."""
    with open(os.path.join(REMEDIES, name + ".py")) as file:
        source = file.read()
    module = sys.modules["_refcow_" + name] = types.ModuleType("_refcow_" + name)
    module.SOURCE = source
    exec(compile(source, name + ".py", "exec"), vars(module))
    return module


places, index, sequences, pickled, packed, stacked, imports = map(
    load, ("places", "index", "sequences", "pickled", "packed", "stacked", "imports")
)
ROOM = 1 << 30


def pickle_rows(data, most=ROOM):
    return pickled.code(data, most)


def pack(data, most=ROOM):
    return packed.pack(data, most)


def share(data, most=ROOM):
    return packed.share(data, most)


def stack(data, most=ROOM):
    return stacked.code(data, most)


Row = collections.namedtuple("Row", "a b")


@dataclasses.dataclass
class Record:
    a: str
    b: int


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: float


class Loader:
    def __init__(self, rows):
        self.rows, self.size = rows, len(rows)


class Colour(enum.Enum):
    RED, BLUE = 1, 2


class Shown:
    """Whose objects are compared by what they show."""

    def __repr__(self):
        return repr([getattr(self, name) for name in ("a", "b")])

    def __eq__(self, other):
        return repr(self) == repr(other)


class Plain(Shown):
    def __init__(self, a, b):
        self.a, self.b = a, b


class Slots(Shown):
    __slots__ = ("a", "b")
    __init__ = Plain.__init__


class InSlots:
    __slots__ = ("_InSlots__size", "rows")
    __init__ = Loader.__init__
    size = property(lambda self: None, lambda self, size: None)


class ClosedSlots(InSlots):
    __slots__ = ()

    def __init__(self, rows):
        object.__setattr__(self, "rows", rows)

    def __setattr__(self, name, value):
        raise AttributeError("closed")

    def __setstate__(self, state):
        object.__setattr__(self, "rows", state[1]["rows"])


class Both(enum.Flag):
    A, B = 1, 2


N = range(1000, 1040)
ALIKE = {
    "ints": [n for n in N],
    "floats": [n / 3 for n in N] + [float("inf"), -0.0, 0.0],
    "constant": [{"id": n, "kind": "a", "none": None, "zero": -0.0} for n in N],
    "bools": [n % 3 == 0 for n in N],
    "texts": ["text %d \u00e9 \ud800" % n for n in N] + [""],
    "bytes": [b"%d" % n for n in N],
    "optional": [None if n % 3 else n for n in N] + [{}][:0],
    "optional text": [{"a": None if n % 2 else str(n)} for n in N],
    "tuples": [(n, str(n), n / 7) for n in N],
    "lists": [[n / 7, n / 3] for n in N],
    "nested": [{"id": n, "box": [n / 3, n / 7], "at": [[n / 9, n / 11]]} for n in N],
    "named": [Row(str(n), n) for n in N],
    "in named": [(Row(str(n), n), Frozen(n / 2)) for n in N],
    "dataclasses": [Record(str(n), n) for n in N],
    "frozen": tuple(Frozen(n / 3) for n in N),
    "plain": [Plain(str(n), Record(str(n), n)) for n in N],
    "slots": [Slots(n, n / 3) for n in N],
    "optional records": [None if n % 3 else Plain(Record(str(n), n), {"a": [n, None if n % 2 else n / 3]}) for n in N],
    "optional in tuple": [(None if n % 2 else (n, str(n)), None if n < 1007 else Colour.RED) for n in N],
    "enum": [Colour.RED if n % 3 else Colour.BLUE for n in N],
    "dates": [datetime.date(2020, 1, 1) + datetime.timedelta(days=n) for n in N],
    "datetimes": [datetime.datetime(2020, 1, 1, microsecond=n) for n in N]
    + [datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=n))) for n in (0, 5)],
    "decimals": [decimal.Decimal(n) / 7 for n in N] + [decimal.Decimal(one) for one in ("1.0", "1.00", "-0", "Infinity")],
    "times": [datetime.time(n % 24, n % 60, microsecond=n) for n in N],
    "durations": [(n, datetime.timedelta(days=-n, microseconds=n)) for n in N],
    "complex": [complex(n / 3, -n) for n in N] + [complex(-0.0, 0.0)],
    "flags": [Both(n % 4) for n in N],
    "ragged": [list(range(n % 5)) for n in N],
    "ragged rows": [{"id": n, "tags": ["%d" % n] * (n % 4), "at": ((n / 3, n),) * (n % 3)} for n in N],
    "long": [[n / 3] * 100 for n in N],
    "long in short": [((n, [[n] * 70]), "x") for n in N],
    "empty": [[[]] for n in N] + [[]],
    "sets": [{"set": {n, -n}, "frozen": frozenset(str(n)), "empty": set()} for n in N],
    "optional lists": [{"tags": None if n % 9 else [n] * (n % 4 + 1), "pair": None if n % 9 else [n, n]} for n in N],
    "uuids": [{"id": uuid.UUID(int=n << 70), "day": None if n % 2 else datetime.date(2020, 1, 1)} for n in N],
    "dict of text": {"k%d" % n: "v%d" % n for n in N},
    "dict of records": {"k%d" % n: {"a": n, "b": n / 3} for n in N},
    "dict of bytes": {b"k%d" % n: n for n in N},
    "int keys": {n * 64: str(n) for n in N},
    # In their last bits they are all the same.
    "far keys": {n << 40: (n, -n) for n in N},
}
OTHERS = {
    "deque": collections.deque((n, n / 3) for n in N),
    "mixed": [n if n % 2 else n / 3 for n in N],
    "big": [2**64 + n for n in N],
    "set": {str(n) for n in N} | {n for n in N} | {-n for n in N},
    "frozen set": frozenset(str(n) for n in N),
    "dict": {"k%d" % n: {"a": n} if n % 2 else n for n in N},
    "keys": {(n, "k") if n % 2 else n: n for n in N},
}


def paste(code):
    """What a program has that pastes it, and has names of its own."""
    names = {"__name__": "pasted", "array": "mine", "copy": "mine", "mmap": "mine", "Record": "mine", "rows": "mine"}
    exec(compile(code, "pasted.py", "exec"), names)
    assert all(names[name] == "mine" for name in ("array", "copy", "mmap", "Record", "rows")), code
    return names["before_fork"]


def check(data, told):
    before = pickle.dumps(data)
    new = paste(told["code"])(data)
    assert pickle.dumps(data) == before
    assert told["replaced"] and type(new) is not type(data), told
    assert len(new) == len(data)
    if isinstance(data, dict):
        assert isinstance(new, dict) and list(new.items()) == list(data.items()) and list(new) == list(data)
        assert all(new[key] == value and key in new for key, value in data.items())
        assert new.get("no") is None and "no" not in new and list(new.values()) == list(data.values())
        assert new == data and dict(new) == data and pickle.loads(pickle.dumps(new)) == data
    elif isinstance(data, (set, frozenset)):
        assert isinstance(new, type(data)) and set(new) == data and all(one in new for one in data) and "no" not in new
        assert new & {"1000", 7} == data & {"1000", 7} and new == data and pickle.loads(pickle.dumps(new)) == data
    else:
        assert list(new) == list(data) and [new[place] for place in range(len(data))] == list(data)
        assert list(map(repr, new)) == list(map(repr, data)) and list(map(type, new)) == list(map(type, data)) or "dict" in repr(type(data[0]))
        assert new[-1] == data[-1] and new[-len(data)] == data[0] and data[3] in new
        if not isinstance(data, collections.deque):
            assert list(new[2:-3:2]) == list(data[2:-3:2])
            if not isinstance(new, memoryview):
                assert list(new) == list(pickle.loads(pickle.dumps(new)))
        for wrong in (len(data), -len(data) - 1):
            try:
                new[wrong]
            except IndexError:
                continue
            raise AssertionError(wrong)


def refused(remedy, data):
    try:
        remedy(data)
    except places.DoesNotApply as reason:
        return str(reason)
    raise AssertionError("it applies")


for name, data in list(ALIKE.items()) + list(OTHERS.items()):
    try:
        check(data, pickle_rows(data))
        for remedy in (pack, share):
            if name in ALIKE:
                check(data, remedy(data))
            else:
                assert refused(remedy, data), name
    except BaseException:
        print(name)
        raise

# In containers and attributes; what is twice there is replaced once; what others hold stays.
rows = [{"id": n} for n in N]
for data, get in (
    ({"a": {"b": rows}, "c": 1}, lambda data: data["a"]["b"]),
    ([rows, 1, "x"], lambda data: data[0]),
    ((rows, rows), lambda data: data[1]),
    (Row(rows, 1), lambda data: data.a),
    (Loader(rows), lambda data: data.rows),
    ({"loader": Loader(rows)}, lambda data: data["loader"].rows),
    (InSlots(rows), lambda data: data.rows),
    ({"loader": InSlots(rows)}, lambda data: data["loader"].rows),
):
    new = paste(pickle_rows(data)["code"])(data)
    assert type(new) is type(data) and get(data) is rows and get(new) is not rows and list(get(new)) == rows, data
    if type(new) is tuple:
        assert new[0] is new[1]
assert refused(pickle_rows, ClosedSlots(rows)).startswith("refcow looked")
loops = [list(N)]
loops.append(loops)
assert list(paste(pickle_rows(loops)["code"])(loops)[0]) == list(N)

# Names of what is replaced and of what stays, and what would have to be otherwise for it to be replaced, too.
told = pack({"small": list(N), "big": [{"a": n} if n % 3 else {"b": n} for n in N]})
assert told["replaced"] == ["data['small'] (40 ints) as packed arrays"], told
assert told["kept"] == [
    "data['big'] (40 dicts) stays: it holds dicts with different keys; if it held dicts with the same keys, with None for what is "
    "missing, it could be packed"
], told
assert refused(pack, [0]) == "refcow looked 4 levels deep and found no list, tuple, dict or set of 32 or more elements"
for data, reason, way in (
    ([{"a": [n, n if n % 2 else "x"]} for n in N], "place 1 of the key 'a' of data holds int and str side by side",
     "if place 1 of the key 'a' held one type alone, data could be packed"),
    (OTHERS["mixed"], "data holds float and int side by side", "if data held floats alone, data could be packed"),
    ([n / 2 if n % 3 else None if n % 2 else n for n in N], "data holds None beside float and int",
     "if data held floats and None, data could be packed"),
    (OTHERS["big"], "data holds an int of more than 64 bits", "if data held ints of 64 bits alone, data could be packed"),
    ([{"box": [2 ** 70] * (n % 3), "v": n if n % 2 else n / 3} for n in N],
     "the elements of the key 'box' of data hold an int of more than 64 bits, and the key 'v' of data holds float and int side by side",
     "if the elements of the key 'box' held ints of 64 bits alone and the key 'v' held floats alone, data could be packed"),
    ([{"id": n, **({"extra": n} if n % 3 else {})} for n in N],
     "data holds dicts with different keys",
     "if data held dicts with the same keys, with None for what is missing, data could be packed"),
    ([{"a": n, "b": n} if n % 2 else {"b": n, "a": n} for n in N], "data holds dicts with the same keys in different orders",
     "if data held dicts with the same keys in one order, data could be packed"),
    ([{1: n, 2: n} if n % 2 else {2: n, 1: n} for n in N], "data holds dicts with the same keys in different orders",
     "if data held dicts with the same keys in one order, data could be packed"),
    ([{} for n in N], "data holds empty dicts", None),
    ([[n, str(n), n / 3, b"", range(n)][n % 5] for n in N], "data holds bytes, float and 3 more types side by side", None),
    ([[n, str(n), range(n)][n % 3] for n in N], "data holds int, range and str side by side", None),
    (OTHERS["deque"], "data is a deque, and neither a list nor a dict", "as a list it could be packed"),
    ([None if n % 3 else n if n % 2 else {"a": n} for n in N], "data holds None beside dict and int",
     "if data held one type and None, data could be packed"),
    # Where that would not be enough, it is not said.
    ([[n, object()] * (n % 3) for n in N], "the elements of data hold int and object side by side", None),
    ([{"a": n if n % 2 else object(), "v": n if n % 2 else n / 3} for n in N],
     "the key 'a' of data holds int and object side by side, and the key 'v' of data holds float and int side by side", None),
    ([{name: n if n % 2 else n / 3 for name in "abcd"} for n in N],
     "the key 'a' of data holds float and int side by side, and the key 'b' of data holds float and int side by side, "
     "and 2 more like that", None),
    (collections.deque(object() for n in N), "data is a deque, and neither a list nor a dict", None),
    ({n: range(n) for n in N}, "the values of data hold objects of the type range", None),
    ({n: n if n % 2 else n / 3 for n in N}, "the values of data hold float and int side by side", "if the values held floats alone, data could be packed"),
    (OTHERS["set"], "data is a set, and neither a list nor a dict", None),
):
    assert refused(pack, data) == reason + ("; " + way if way else ""), refused(pack, data)
# It is enough.
for data in (
    [float(n) for n in OTHERS["mixed"]],
    [{"box": [n] * (n % 3), "v": n / 3} for n in N],
    [{"id": n, "extra": n if n % 3 else None} for n in N],
    list(OTHERS["deque"]),
):
    check(data, pack(data))
assert "cannot be pickled" in refused(pickle_rows, [lambda: n for n in N])
# Many rows may share one long list, and rows may hold what they are in: neither is looked at for long.
long = list(range(100_000))
for row in long, long + [0]:
    rows = [[n, long if n % 20 else row] for n in N]
    assert refused(pack, rows) == "place 1 of data holds lists that many rows share", refused(pack, rows)
round_and_round = []
round_and_round += [round_and_round] * 100
assert refused(pack, round_and_round) == "data holds lists that many rows share"
# As a list of all, before it becomes an array, it would be that large.
apart = [[True] * 900 for n in N]
assert refused(lambda data: pack(data, 100_000), apart) == "data would take more than all processes take as it is as arrays"
for kind in collections.OrderedDict, collections.Counter, lambda rows: collections.defaultdict(list, rows):
    for remedy in pack, pickle_rows:
        check(kind({"k%d" % n: [n, n / 3] for n in N}), remedy(kind({"k%d" % n: [n, n / 3] for n in N})))
ordered = type("Ordered", (collections.OrderedDict,), {})((n, [n]) for n in N)
assert refused(pack, ordered).startswith("data is an Ordered,"), refused(pack, ordered)
assert refused(stack, [[n] for n in N]) == ""

# More than there is room for is not made: what rows share would be there for each of them.
words = [str(n) for n in N] * 50
reason = "the first 1 of 40 rows of data take more as pickles than all processes take as it is"
assert refused(lambda data: pickle_rows(data, 3_000), [(n, words) for n in N]) == reason
reason = "the first 3 of 40 rows of data take more as pickles than all processes take as it is: what rows share would be in the pickle of each"
assert refused(lambda data: pickle_rows(data, 12_000), [(n, words) for n in N]) == reason
assert "more as pickles" in refused(lambda data: pickle_rows(data, 5_000), {n: words for n in N})
around = [[n] for n in N]
for row in around:
    row.append(around)
assert "what rows share" in refused(lambda data: pickle_rows(data, 5_000), around)
reason = "data would take more than all processes take as it is as arrays"
assert refused(lambda data: pack(data, 5_000), ["text" * 100] * 40) == reason
assert refused(lambda data: pack(data, 300), {n: 1.5 * n for n in N}) == reason
assert "what rows share" not in refused(lambda data: pickle_rows(data, 5_000), [str(n) * 100 for n in N])


# Objects with more to them than their fields are not made of their fields.
class Named(Row):
    pass


class NotMade(tuple):
    _fields = ("a", "b")


class Noisy(Record):
    def __del__(self):
        DELETED.append(self)


class Odd:
    """No class that is expected to answer."""

    @property
    def __class__(self):
        raise RuntimeError("no class")

    def __getattr__(self, name):
        raise KeyError(name)

    def __repr__(self):
        raise ValueError("no repr")


class Counted(list):
    def __len__(self):
        raise RuntimeError("no length")


class Spaced:
    def __init__(self, a):
        self.a, vars(self)["a b"] = a, a


people = [Plain(str(n), n) for n in N]
for number, one in enumerate(people):
    one.friend = people[number // 2]
plain = [Plain(str(n), n) for n in N]
plain[3].more = 1
DELETED = []
Slotted = dataclasses.make_dataclass("Slotted", ["a"], namespace={"__slots__": ("a", "more")})
OfDict, OfList, OfError = [dataclasses.make_dataclass("Of", ["a"], bases=(base,)) for base in (dict, list, Exception)]
named, slotted, records = Named("x", 1), Slotted(1), [Record(str(n), n) for n in N]
named.more = slotted.more = records[3].more = 1
for rows, reason in (
    ([Named(str(n), n) for n in N] + [named], "objects of Named with attributes besides their fields"),
    ([NotMade((n, n)) for n in N], "objects of the type NotMade"),
    ([Slotted(n) for n in N] + [slotted], "objects of Slotted with other attributes than its fields"),
    (records, "objects of Record with other attributes than its fields"),
    ([OfDict(n) for n in N], "objects of Of that have more to them than their fields"),
    ([OfList(n) for n in N], "objects of Of that have more to them than their fields"),
    ([OfError(n) for n in N], "objects of Of with other attributes than its fields"),
    ([Noisy("x", n) for n in N], "objects of Noisy, whose __del__ would run each time that one was made for an access"),
    ([Odd() for n in N], "objects of the type Odd"),
    ([Plain(n, n) for n in N] + [Slots(n, n) for n in N], "Plain and Slots side by side"),
    (plain, "objects of Plain with other attributes than the first of them"),
    ([Spaced(n) for n in N], "objects of Spaced with other attributes than the first of them"),
    ([datetime.datetime(2020, 1, 1, fold=n % 2) for n in N], "objects of the type datetime that are more than their text says"),
    ([{1: n} if n % 2 else {True: n} for n in N], "dicts with different keys"),
    (people, "objects of Plain that refer to others of them"),
    ([{10**5000: n} for n in N], "dicts with other keys than short text and numbers"),
):
    assert refused(pack, rows).startswith("data holds " + reason), refused(pack, rows)
DELETED.clear()
assert "whose __del__ would run" in refused(pickle_rows, [Noisy("x", n) for n in N]) and len(DELETED) == len(N)
check([Named(str(n), n) for n in N], pack([Named(str(n), n) for n in N]))
assert "of more than 64 bits" in refused(pack, [(10**5000, n) for n in N])
large = [(10**5000, n) for n in N]
assert list(paste(pickle_rows(large)["code"])(large)) == large
assert refused(pickle_rows, Counted(N)).startswith("data is a Counted,"), refused(pickle_rows, Counted(N))
assert refused(pickle_rows, Odd()).startswith("refcow looked 4 levels deep")


# What holds rows may forbid that they are replaced, or hide them, or do something when it is freed.
class Hidden(Loader):
    rows = property(lambda self: vars(self)["rows"])

    def __init__(self, rows):
        vars(self)["rows"] = rows


class Closed(Loader):
    def __setattr__(self, name, value):
        raise AttributeError("closed")

    def __init__(self, rows):
        vars(self)["rows"] = rows


class File(Loader):
    def __del__(self):
        DELETED.append(self)


DELETED.clear()
rows = [(n, str(n)) for n in N]
for data in (Frozen(rows), Hidden(rows), Closed(rows), {"a": Frozen([rows] * 2)}):
    for remedy in (pickle_rows, pack):
        new = paste(remedy(data)["code"])(data)
        old, new = (data, new) if type(data) is not dict else (data["a"].a, new["a"].a)
        assert type(new) is type(old) and pickle.dumps(old) == pickle.dumps(old)
        get = lambda one: one[1] if type(one) is list else getattr(one, "a", None) or one.rows
        assert get(old) is rows and get(new) is not rows and list(get(new)) == rows, data
loader = Loader(rows)
new = paste(pickle_rows({"a": loader, "b": loader})["code"])({"a": loader, "b": loader})
assert new["a"] is new["b"] and new["a"].rows is not rows
file = File(rows)
assert "its __del__ would run" in refused(pickle_rows, file) and "its __del__ would run" in refused(pack, {"a": file}) and not DELETED

# Changes of records do not get lost unnoticed.
record = paste(pack([{"a": n} for n in N])["code"])([{"a": n} for n in N])[0]
try:
    record["a"] = 1
except TypeError as error:
    assert "would be lost" in str(error)
else:
    raise AssertionError("changed")

# Of what imports import, they are the first.
assert imports.code(None, ["_csv", "csv", "textwrap"])["code"].startswith("import csv\nimport textwrap\n\n\ndef before_fork")
assert refused(lambda data: imports.code(data, ["nowhere.at.all"]), None)

print("all do the same")
