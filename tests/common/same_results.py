"""What is the same and what is not, as the process asks that visits other objects in the place of the data."""
import collections
import os
import pickle
import sys
import threading
import types

with open(sys.argv[1]) as file:
    compare = types.ModuleType("compare")
    exec(compile(file.read(), "compare.py", "exec"), vars(compare))
same, Digest = compare.same, compare.Digest


class Plain:
    def __init__(self, a, b=None):
        self.a, self.b = a, b


class Rude(Plain):
    """Raises whatever is asked of it."""

    def __eq__(self, other):
        raise RuntimeError("no ==")

    def __repr__(self):
        raise ValueError("no repr")

    def __getattr__(self, name):
        raise AttributeError if name.startswith("__") else KeyError(name)

    __hash__ = None


def in_itself(first):
    made = [first]
    made.append(made)
    return made


def chained(length, last=None):
    for _ in range(length):
        last = Plain(1, last)
    return last


NAN = [float("nan"), float("nan")]
TEXT = "some text"
AGAIN = "".join(["some ", "text"])
for one, other, is_same in (
    # Two references to one object are equal to two equal objects.
    (Plain(TEXT, TEXT), Plain(TEXT, AGAIN), True),
    (Plain(TEXT, TEXT), Plain(TEXT, "x"), False),
    (Rude(1), Rude(1), True),
    (Rude(1), Rude(2), False),
    (in_itself(1), in_itself(1), True),
    (in_itself(1), in_itself(2), False),
    (chained(5_000), chained(5_000), True),
    (chained(5_000), chained(5_000, 3), False),
    ([{"a": NAN[0]}], [{"a": NAN[1]}], True),
    (Plain(NAN[0]), Plain(NAN[1]), True),
    (collections.OrderedDict(a=Plain(1)), collections.OrderedDict(a=Plain(1)), True),
    (collections.OrderedDict(a=Plain(1)), collections.OrderedDict(a=Plain(2)), False),
    ({1, "a"}, {1, "a"}, True),
    ({1, "a"}, {1, "b"}, False),
    (10**5000, 10**5000 + 1, False),
    (Plain, Rude, False),
):
    assert same(one, other) is is_same, (type(one), is_same)
for one in (lambda: 0), (number for number in NAN), {Plain(1)}, threading.Lock():
    other = {Plain(1)} if type(one) is set else threading.Lock() if "lock" in type(one).__name__ else type(one)
    other = (lambda: 0) if callable(one) else (number for number in NAN) if other is type(one) else other
    try:
        assert not same(one, other)
    except compare.CannotBeCompared as reason:
        assert str(reason)
    else:
        raise AssertionError(one)


# A change is seen wherever it is, beside what cannot be pickled, too. That is named.
def parts():
    return {"lock": threading.Lock(), "rows": [[n, str(n)] for n in range(100)], "loader": Plain([(n,) for n in NAN], threading.Lock())}


def changed(change):
    data = parts()
    before = Digest.of(data)
    assert Digest.of(data).sum.digest() == before.sum.digest()
    change(data)
    return Digest.of(data).sum.digest() != before.sum.digest()




class Buffer:
    """Pickled as an array is: as a buffer, which is large."""

    __slots__ = ("content",)

    def __init__(self, content):
        self.content = bytearray(content)

    def __reduce_ex__(self, protocol):
        return Buffer, (pickle.PickleBuffer(self.content),)


large = [Buffer(b"x" * 100_000)]
before = Digest.of(large)
large[0].content[7] = 0
assert before.told() == [] and Digest.of(large).sum.digest() != before.sum.digest()
assert changed(lambda data: data["rows"][3].append(1)) and changed(lambda data: setattr(data["loader"], "a", 1))
assert changed(lambda data: data.update(lock=1)) and changed(lambda data: data["loader"].a.append(1))
assert not changed(lambda data: data["rows"][3][0] + 1)
assert Digest.of(parts()).told() == ["data['lock'] (lock)", "data['loader'].b (lock)"], Digest.of(parts()).told()
assert Digest.of([threading.Lock() for _ in range(40)]).told()[-1] == "37 more like that"
missing = collections.defaultdict(lambda: 3, a=1)
before = Digest.of(missing).sum.digest()
missing["b"]
assert Digest.of(missing).sum.digest() != before

# What rows share is not looked at once for each of them, and what rows are in not at all.
words = [str(n) for n in range(100_000)]
for data in [(n, words) for n in range(20_000)], [Plain(words) for n in range(2_000)], words:
    Digest.of(data)


# Whose fault it is.
def visit(data):
    if type(data) is list:
        raise KeyError("x")
    return 1


def told(visit, data, replacement):
    """In a process of its own, as what it prints is lost."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, repr(compare.compare(visit, data, replacement)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return eval(os.read(read, 10_000))


LOST = "the visit changes what is in the data, and such a change would be lost"
rows = [[n] for n in range(40)]
assert told(visit, [1], (1,)) == ("the visit raised KeyError: 'x' when it was made with the data as it is once more", True, [])
assert told(visit, (1,), [1]) == ("with it the visit raised KeyError: 'x'", True, [])
assert told(lambda data: Rude(type(data)), [1], (1,)) == ("with it the visit returned another Rude", True, [])
assert told(lambda data: data["rows"][0].append(1), dict(parts(), rows=rows), {"rows": rows})[0] == LOST
assert told(lambda data: None, parts(), parts()) == (None, False, ["data['lock'] (lock)", "data['loader'].b (lock)"])
assert told(lambda data: in_itself(1), [1], (1,)) == (None, True, [])
assert told(lambda data: (lambda: 0), [1], (1,))[0].startswith("what the visit returns cannot be compared: function (")
print("all are told apart")
