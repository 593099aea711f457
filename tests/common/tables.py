"""The same of arrays of NumPy and tables of pandas, which must be there."""
from remedies import N, ROOM, Loader, check, load, paste, pickle_rows, refused

import numpy
import pandas

# They look whether NumPy is there when they are loaded.
packed, stacked, typed, columns = load("packed"), load("stacked"), load("typed"), load("columns")


def pack(data, most=ROOM):
    return packed.pack(data, most)


def share(data, most=ROOM):
    return packed.share(data, most)


def stack(data, most=ROOM):
    return stacked.code(data, most)


def type_arrays(data, most=ROOM):
    return typed.code(data, most)


def arrow_text(data, most=ROOM):
    return columns.code(data, most)


arrays = [numpy.arange(n % 7) for n in N]
for made in arrays, tuple(arrays):
    new = paste(stack(made)["code"])(made)
    assert all((one == other).all() and len(one) == len(other) for one, other in zip(new, made)) and len(new[3:5]) == 2
    assert isinstance(new, type(made)) and len(new) == len(made) and (new[-1] == made[-1]).all()
# Large ones are pickled as buffers.
rows = [(n, numpy.arange(20_000) + n) for n in N]
assert all((new[1] == row[1]).all() for new, row in zip(paste(pickle_rows(rows)["code"])(rows), rows))
assert "differ" in refused(stack, arrays + [numpy.zeros(3)])
assert "take more than all processes" in refused(lambda data: stack(data, 1_000), arrays * 10)
objects = numpy.array(["a"] * 40, dtype=object)
assert refused(pickle_rows, {"a": objects}) == "data['a'] is a NumPy array of objects; as a list (data['a'].tolist()) it could be looked at"
of = lambda values: numpy.array(values + [None], dtype=object)[:-1]
for values, kind in (
    ([str(n) for n in N] + ["", "\u00e9\U0001f600", "a\0", "long" * 1_000], "StringDType"),
    (["text"] * 40 + [None, "x"], "StringDType"),
    ([b"%d" % n for n in N], "S"),
    ([n / 3 for n in N] + [float("nan")], "float64"),
    ([-n for n in N] + [2**63 - 1], "int64"),
    ([n % 3 == 0 for n in N], "bool"),
):
    for data, get in ((of(values), lambda data: data), ({"a": [of(values)]}, lambda data: data["a"][0])):
        told = type_arrays(data)
        new = get(paste(told["code"])(data))
        assert kind == "StringDType" or new.dtype.kind == numpy.dtype(kind).kind
        assert get(data).dtype == object and new.dtype != object
        assert repr(new.tolist()) == repr(values), values
        assert told["replaced"][0].endswith(" as an array of " + kind), told
pairs = of([str(n) for n in N]).reshape(20, 2)
assert (paste(type_arrays(pairs)["code"])(pairs) == pairs).all()
assert "of several types (int and str)" in refused(type_arrays, of(["a"] * 40 + [1]))
typed.has_texts = lambda: False  # as before NumPy 2.0
text = of([str(n) for n in N] + ["", "\u00e9\U0001f600"])
assert paste(type_arrays(text)["code"])(text).tolist() == text.tolist() and "astype('U')" in type_arrays(text)["code"]
for values, reason in (
    (["a"] * 40 + [None], "objects of several types (NoneType and str); if all were of one type, it could be an array of that"),
    ([(n,) for n in N], "objects of the type tuple"),
    (["a"] * 40 + ["b\0"], "text that ends in a null character, which one of U does not keep"),
    ([1] * 40 + [2**70], "ints of more than 64 bits"),
    (["a" * 100] + ["b"] * 40, "text that would take more than all processes take as it is as U, where all take as much as the longest"),
):
    made = numpy.empty(len(values), dtype=object)
    made[:] = values
    said = refused(lambda data: type_arrays(data, 10_000), made)
    assert said == "data is a NumPy array of " + reason, said
assert refused(type_arrays, [numpy.zeros(40), numpy.array([None] * 5)]) == "" == refused(type_arrays, list(N))
text = pandas.Series(["text %d \u00e9" % n if n % 3 else None if n % 2 else float("nan") for n in N], dtype=object)
table = pandas.DataFrame({"id": list(N), 7: text, "mixed": pandas.Series([n if n % 2 else str(n) for n in N], dtype=object)})
for data, get in (
    (text, lambda data: data),
    (table, lambda data: data[7]),
    ({"a": [table]}, lambda data: data["a"][0][7]),
    (Loader(text), lambda data: data.rows),
):
    told = arrow_text(data)
    new = get(paste(told["code"])(data))
    assert "pyarrow" in repr(type(new.array)).lower() or "pyarrow" in repr(new.dtype.storage), new.dtype
    assert get(data).dtype == object and new.isna().tolist() == text.isna().tolist()
    assert new.dropna().tolist() == text.dropna().tolist() and type(new[1]) is str
assert arrow_text({"a": table})["replaced"] == ["data['a'][7] (40 rows) as Arrow's text"]
assert refused(arrow_text, table[["mixed"]]) == "no column of data with the dtype object holds text alone"
assert refused(arrow_text, table[["id"]]) == refused(arrow_text, list(N)) == ""
assert refused(arrow_text, pandas.concat([table, table], axis=1)) == "two columns of data have one name"
columns.importlib.util.find_spec = lambda name: None
assert refused(arrow_text, table) == "data has text that Arrow could hold, and pyarrow is not installed for this Python"
for make in numpy.float64, numpy.float32, numpy.int8, numpy.uint64, numpy.bool_, numpy.complex128, lambda n: numpy.datetime64(n, "s"):
    rows = [{"v": make(n % 100), "w": None if n % 3 else make(n % 7), "x": [make(n % 2)] * (n % 4)} for n in N]
    for remedy in pack, share:
        check(rows, remedy(rows))
        new = paste(remedy(rows)["code"])(rows)
        assert [type(row["v"]) for row in new] == [type(row["v"]) for row in rows] and new[0]["v"].dtype == rows[0]["v"].dtype
units = [numpy.datetime64(n, "s" if n % 2 else "ms") for n in N]
assert refused(pack, units) == "data holds objects of datetime64 in several units"
assert refused(pack, [numpy.str_(n) for n in N]) == "data holds objects of the type str_"
print("so do arrays and tables")
