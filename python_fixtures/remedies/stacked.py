"""Many small arrays as parts of one: their headers, in which reference counts are written, are made when asked for."""
import sys
from array import array as _array
from itertools import accumulate
from _refcow_index import SOURCE as INDEX, EndToEnd
from _refcow_places import DoesNotApply, Room, told

# Whose data has none of its arrays has not imported it either.
if "numpy" in sys.modules:
    import numpy


class StackedArrays(EndToEnd):
    """Arrays end to end. Each access makes a view of a part."""

    def __init__(self, arrays):
        self.kind, self.ends = type(arrays), _array("Q", accumulate(map(len, arrays)))
        self.whole = numpy.concatenate(arrays)

    def part(self, start, end):
        return self.whole[start:end]


def replacement(room):
    def of(place):
        is_array = lambda one: "numpy" in sys.modules and type(one) is numpy.ndarray and one.ndim > 0
        if type(place.value) not in (list, tuple) or not is_array(place.value[0]):
            raise DoesNotApply("")
        no = lambda what: DoesNotApply("{} holds {}".format(place.name, what))
        if not all(map(is_array, place.value)):
            raise no("arrays and other objects side by side")
        first = place.value[0]
        if any(one.dtype != first.dtype or one.shape[1:] != first.shape[1:] for one in place.value):
            raise no("arrays that differ in more than their length")
        if first.dtype.hasobject:
            raise no("arrays of objects")
        try:
            room.take(sum(one.nbytes for one in place.value))
        except DoesNotApply as reason:
            raise no("arrays that would take {}".format(reason)) from None
        return ["{0} = StackedArrays({0})".format(place.name)], "one array"

    return of


def code(data, most):
    """Each list of arrays as one, if they do not take more than so many bytes."""
    return told(data, replacement(Room(most)), INDEX + SOURCE, otherwise="")
