"""Objects whose reference counts are not written any more, by the call that CPython 3.15 has for it."""
import ctypes


class DoesNotApply(Exception):
    """Nothing can be done with this data; says why."""


def immortalise(data):
    """Makes each object in lists, tuples and dicts immortal that the call takes: only its container may refer to it,
    and a str it never takes.
    """
    call = getattr(ctypes.pythonapi, "PyUnstable_SetImmortal", None)
    if call is None:
        raise DoesNotApply("this build of CPython has no PyUnstable_SetImmortal")
    call.argtypes, call.restype = [ctypes.c_void_p], ctypes.c_int

    def walk(container, places):
        made = 0
        for place in places:
            kind = type(container[place])
            if kind in (list, tuple):
                made += walk(container[place], range(len(container[place])))
            elif kind is dict:
                made += walk(container[place], list(container[place]))
            # By its address: a name for it would be one reference more.
            made += call(id(container[place]))
        return made

    root = [data]
    del data
    if not walk(root, [0]):
        raise DoesNotApply("no object in it could be made immortal: a str cannot, nor what several refer to")
    return root[0]
