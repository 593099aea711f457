"""Objects whose reference counts are not written any more, by the call that CPython 3.15 has for it."""
import ctypes
from _refcow_places import DoesNotApply, pasted


def immortalise(container, places):
    """Makes each object in lists, tuples and dicts immortal that only its container refers to, but no str: how many."""
    call = ctypes.pythonapi.PyUnstable_SetImmortal
    call.argtypes, call.restype = [ctypes.c_void_p], ctypes.c_int
    made = 0
    for place in places:
        kind = type(container[place])
        if kind in (list, tuple):
            made += immortalise(container[place], range(len(container[place])))
        elif kind is dict:
            made += immortalise(container[place], list(container[place]))
        # By its address: a name for it would be one reference more.
        made += call(id(container[place]))
    return made


def code(data):
    """Makes them so: for a process that ends with this."""
    if not hasattr(ctypes.pythonapi, "PyUnstable_SetImmortal"):
        raise DoesNotApply("this build of CPython has no PyUnstable_SetImmortal")
    root = [data]
    del data
    if not immortalise(root, [0]):
        raise DoesNotApply("no object in it could be made immortal: a str cannot, nor what several refer to")
    return {"code": pasted(SOURCE, ["immortalise([data], [0])"]), "replaced": [], "kept": []}
