"""Which containers the collector tracks: when they are new, and when it has
looked at them.

Only what is tracked has its GC header written by a collection. A container
of nothing that can be in a cycle need not be, and a version of CPython may
know that at once, or find out at a collection, or not care.
"""
import array
import gc
import itertools


class Plain:
    """Has a `__dict__`, or what CPython keeps in its place."""


def instance():
    """An instance with an attribute that is not tracked itself."""
    thing = Plain()
    thing.name = 1 << 20
    return thing


# Of ints and strings. Each is made at run time: a display of constants is a constant.
MAKERS = {
    "tuple": lambda: tuple([1 << 20, 1 << 21]),
    "tuple_of_tuples": lambda: tuple([tuple([1 << 20]), tuple([1 << 21])]),
    "tuple_of_display": lambda: (1 << 20, str(1 << 21)),
    "tuple_of_range": lambda: tuple(range(1 << 20, (1 << 20) + 2)),
    "tuple_of_generator": lambda: tuple(number for number in (1 << 20, 1 << 21)),
    "dict_empty": dict,
    "dict": lambda: {str(1 << 20): 1 << 20},
    "dict_of_zip": lambda: dict(zip(["a", "b"], range(1 << 20, (1 << 20) + 2))),
    "list": lambda: [1 << 20],
    "array": lambda: array.array("q", [1]),
    "set": lambda: {1 << 20},
    "bytearray": lambda: bytearray(9),
    "instance": instance,
    "instance_dict": lambda: instance().__dict__,
}


def within_one_call():
    """How many collections begin while a single call, that runs no code of
    Python's, makes 10,000 lists.
    """
    begun = []
    calling = [False]

    def collected(phase, info):
        if phase == "start" and calling[0]:
            begun.append(info["generation"])

    gc.collect()
    gc.callbacks.append(collected)
    gc.enable()
    try:
        # The flag is set and unset by what runs inside the call: a collection may begin when it is over.
        list(itertools.chain(
            map(calling.__setitem__, [0], [True]),
            map(list, itertools.repeat((), 10000)),
            map(calling.__setitem__, [0], [False]),
        ))
    finally:
        gc.callbacks.remove(collected)
        gc.disable()
    return len(begun)


def observe():
    """What `gc.is_tracked` says of each, new and after one and two
    collections, the collector's first threshold, and whether it runs in the midst
    of a call.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        result = {}
        for name, make in MAKERS.items():
            thing = make()
            result[name + "_new"] = gc.is_tracked(thing)
            gc.collect()
            result[name + "_collected"] = gc.is_tracked(thing)
            gc.collect()
            result[name + "_collected_twice"] = gc.is_tracked(thing)
        result["collections_within_call"] = within_one_call()
        return dict(result, first_threshold=gc.get_threshold()[0], generations=len(gc.get_stats()))
    finally:
        if was_enabled:
            gc.enable()
