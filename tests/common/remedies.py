"""Code that remedies write, pasted into modules that have names like its own: what it makes of data does what the data does."""
import collections
import copy
import dataclasses
import os
import pickle
import sys
import types

REMEDIES = sys.argv[1]


def load(name):
    """As refcow loads it."""
    with open(os.path.join(REMEDIES, name + ".py")) as file:
        source = file.read()
    module = sys.modules["_refcow_" + name] = types.ModuleType("_refcow_" + name)
    module.SOURCE = source
    exec(compile(source, name + ".py", "exec"), vars(module))
    return module


places, pickled, packed, stacked, imports = map(load, ("places", "pickled", "packed", "stacked", "imports"))
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
}
OTHERS = {
    "deque": collections.deque((n, n / 3) for n in N),
    "mixed": [n if n % 2 else n / 3 for n in N],
    "big": [2**64 + n for n in N],
    "ragged": [list(range(n % 5)) for n in N],
    "set": {str(n) for n in N} | {n for n in N} | {-n for n in N},
    "frozen set": frozenset(str(n) for n in N),
    "dict": {"k%d" % n: {"a": n} for n in N},
    "int keys": {n * 64: str(n) for n in N},
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
        check(data, pickled.code(data))
        for remedy in (packed.pack, packed.share):
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
):
    new = paste(pickled.code(data)["code"])(data)
    assert type(new) is type(data) and get(data) is rows and get(new) is not rows and list(get(new)) == rows, data
    if type(new) is tuple:
        assert new[0] is new[1]
loops = [list(N)]
loops.append(loops)
assert list(paste(pickled.code(loops)["code"])(loops)[0]) == list(N)

# Names of what is replaced and of what stays, and what would have to be otherwise for it to be replaced, too.
told = packed.pack({"small": list(N), "big": [[n] * (n % 3) for n in N]})
assert told["replaced"] == ["data['small'] (40 ints) as packed arrays"], told
assert told["kept"] == [
    "data['big'] (40 lists) stays: it holds lists that are empty, or not of one length; if it held lists of one length, it could be packed"
], told
assert refused(packed.pack, [0]) == "there is no list, tuple, dict or set of 32 or more elements in it"
LENGTHS = "lists that are empty, or not of one length"
for data, reason, way in (
    ([{"a": [n, n if n % 2 else "x"]} for n in N], "place 1 of the key 'a' of data holds int and str side by side",
     "if place 1 of the key 'a' held one type alone, data could be packed"),
    (OTHERS["mixed"], "data holds float and int side by side", "if data held floats alone, data could be packed"),
    ([n / 2 if n % 3 else None if n % 2 else n for n in N], "data holds None beside float and int",
     "if data held floats and None, data could be packed"),
    (OTHERS["big"], "data holds an int of more than 64 bits", "if data held ints of 64 bits alone, data could be packed"),
    ([{"box": [n / 3] * (n % 3), "v": n if n % 2 else n / 3} for n in N],
     "the key 'box' of data holds {}, and the key 'v' of data holds float and int side by side".format(LENGTHS),
     "if the key 'box' held lists of one length and the key 'v' held floats alone, data could be packed"),
    ([{"id": n, **({"extra": n} if n % 3 else {})} for n in N],
     "data holds dicts that are empty, or do not have the same keys in the same order",
     "if data held dicts with the same keys, with None for what is missing, data could be packed"),
    (OTHERS["deque"], "data is a deque, and no list", "as a list it could be packed"),
    # Where that would not be enough, it is not said.
    ([[n, "x"] * (n % 3) for n in N], "data holds " + LENGTHS, None),
    ([{"a": n if n % 2 else object(), "v": n if n % 2 else n / 3} for n in N],
     "the key 'a' of data holds int and object side by side, and the key 'v' of data holds float and int side by side", None),
    ([{name: n if n % 2 else n / 3 for name in "abcd"} for n in N],
     "the key 'a' of data holds float and int side by side, and the key 'b' of data holds float and int side by side, "
     "and 2 more like that", None),
    (collections.deque(object() for n in N), "data is a deque, and no list", None),
    (OTHERS["set"], "data is a set, and no list", None),
):
    assert refused(packed.pack, data) == reason + ("; " + way if way else ""), refused(packed.pack, data)
# It is enough.
for data in (
    [float(n) for n in OTHERS["mixed"]],
    [{"box": [n / 3] * 2, "v": n / 3} for n in N],
    [{"id": n, "extra": n if n % 3 else None} for n in N],
    list(OTHERS["deque"]),
):
    check(data, packed.pack(data))
assert "cannot be pickled" in refused(pickled.code, [lambda: n for n in N])
# Many rows may share one long list, and rows may hold what they are in: neither is looked at for long.
long = list(range(100_000))
for row in long, long + [0]:
    rows = [[n, long if n else row] for n in N]
    assert "64 elements" in refused(packed.pack, rows) or "not of one length" in refused(packed.pack, rows)
round_and_round = []
round_and_round += [round_and_round] * 100
assert "100 elements" not in refused(packed.pack, round_and_round)
groups = collections.defaultdict(list, {n: [n] for n in N})
assert refused(packed.pack, groups).startswith("data is a defaultdict,"), refused(packed.pack, groups)
assert refused(stacked.code, [[n] for n in N]) == ""

# Changes of records do not get lost unnoticed.
record = paste(packed.pack([{"a": n} for n in N])["code"])([{"a": n} for n in N])[0]
try:
    record["a"] = 1
except TypeError as error:
    assert "would be lost" in str(error)
else:
    raise AssertionError("changed")

# Of what imports import, they are the first.
assert imports.code(None, ["_csv", "csv", "textwrap"])["code"].startswith("import csv\nimport textwrap\n\n\ndef before_fork")
assert refused(lambda data: imports.code(data, ["nowhere.at.all"]), None)

try:
    import numpy
except ImportError:
    pass
else:
    stacked = load("stacked")
    arrays = [numpy.arange(n % 7) for n in N]
    new = paste(stacked.code(arrays)["code"])(arrays)
    assert all((one == other).all() and len(one) == len(other) for one, other in zip(new, arrays)) and len(new[3:5]) == 2
    assert "differ" in refused(stacked.code, arrays + [numpy.zeros(3)])
print("all do the same")
