"""NumPy arrays of objects that are all of one type, as arrays of that type: of what stands in these nobody writes a reference count."""
import sys
from _refcow_places import LEAST, DoesNotApply, Room, named, told

# Whose data has none of its arrays has not imported it either.
if "numpy" in sys.modules:
    import numpy

# What NumPy calls them, and how much each takes; of text for each character.
TYPES = {str: ("U", 4), bytes: ("S", 1), float: ("float64", 8), int: ("int64", 8), bool: ("bool", 1)}


def is_of_objects(value):
    return "numpy" in sys.modules and type(value) is numpy.ndarray and value.dtype == object and value.size >= LEAST


def has_texts():
    """Whether this NumPy has a type of text whose elements take as much as they need. From 2.0 on."""
    return hasattr(getattr(numpy, "dtypes", None), "StringDType")


def replacement(room):
    def of(place):
        values = place.value.ravel().tolist()
        kinds = set(map(type, values))
        no = lambda what: DoesNotApply("{} is a NumPy array of {}".format(place.name, what))
        if str in kinds and kinds <= {str, type(None)} and has_texts():
            code = "numpy.dtypes.StringDType({})".format("na_object=None" if len(kinds) > 1 else "")
            room.take(sum(16 + len(one or "") for one in values))
            return ["{0} = {0}.astype({1})".format(place.name, code)], "an array of StringDType"
        if len(kinds) > 1:
            raise no("objects of several types ({}); if all were of one type, it could be an array of that".format(named(kinds)))
        kind = kinds.pop()
        if kind not in TYPES:
            raise no("objects of the type " + kind.__name__)
        code, size = TYPES[kind]
        if kind is int and not all(-(2**63) <= one < 2**63 for one in values):
            raise no("ints of more than 64 bits")
        if kind in (str, bytes):
            if any(one[-1:] in ("\0", b"\0") for one in values):
                raise no("text that ends in a null character, which one of {} does not keep".format(code))
            size *= max(map(len, values)) or 1
        try:
            room.take(size * len(values))
        except DoesNotApply as reason:
            text = "text that would take {} as {}, where all take as much as the longest" if kind in (str, bytes) else "objects that would take {} as {}"
            raise no(text.format(reason, code)) from None
        return ["{0} = {0}.astype({1!r})".format(place.name, code)], "an array of " + code

    return of


def code(data, most):
    """Each array of objects as one of their type, if that does not take more than so many bytes."""
    return told(data, replacement(Room(most)), SOURCE, otherwise="", wanted=is_of_objects)
