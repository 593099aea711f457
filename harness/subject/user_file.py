"""What the subject does for a user's own file in Python. It is executed in a namespace that is emptied again at once: what
stayed would be heap of refcow's in the process that is forked. For the same reason it imports nothing where it can be helped.
"""
import sys


def taken(name, file):
    """Which module an import of this name would find without the user's folder: its file, or a word; None if none."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None) or "part of the interpreter"
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, None) if find else None
        # A folder that is no package gives way to a file.
        if spec is not None and spec.loader is not None and spec.origin:
            if spec.has_location:
                import os

                return None if os.path.realpath(spec.origin) == os.path.realpath(file) else spec.origin
            return "part of the interpreter"
    return None


def signature(function):
    """Names that are taken only by place, names that are taken by name, all defaults, and whether any other name will do."""
    if type(function) is type(taken) and not hasattr(function, "__wrapped__"):
        # inspect would be a megabyte more to fork.
        code = function.__code__
        by_place = code.co_varnames[: code.co_argcount]
        by_name = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
        given = function.__defaults__ or ()
        defaults = dict(zip(by_place[len(by_place) - len(given) :], given))
        defaults.update(function.__kwdefaults__ or {})
        return by_place[: code.co_posonlyargcount], by_name, defaults, bool(code.co_flags & 0x08)
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        # Some that are written in C do not say.
        return (), (), {}, True
    of = lambda *kinds: tuple(one.name for one in parameters if one.kind in kinds)
    return (
        of(inspect.Parameter.POSITIONAL_ONLY),
        of(inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY),
        {one.name: one.default for one in parameters if one.default is not one.empty},
        bool(of(inspect.Parameter.VAR_KEYWORD)),
    )


def bind(build, settings, otherwise):
    """(places, names, known): what to call `build` with, and all that is known of its arguments, defaults included; or
    (reason, help) why it cannot be called."""
    by_place, by_name, defaults, any_name = signature(build)
    names = by_place + by_name
    known = {}
    for name, text, reading in settings:
        if name not in names and not any_name:
            takes = "its parameters: " + ", ".join(names) if names else "it takes nothing that could be set"
            return "`build` has no parameter `{}`".format(name), takes
        literal = reading == "literal" and not isinstance(defaults.get(name), str)
        if reading == "certain" or literal:
            # A literal, which the grammar has found it to be, so that this is no more than ast.literal_eval is.
            try:
                known[name] = eval(text, {"__builtins__": {}})
            except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
                reason = "--set {}={}: this Python does not take that for a literal: {}".format(name, text, error)
                return reason, "values are written as in Python: 5, 0.5, True, None, [1, 2]"
        else:
            known[name] = text
    for name in names:
        if name not in known and name not in defaults:
            if name not in otherwise:
                return "`build` has no default for `{}`".format(name), "say what it is to be: --set {}=VALUE".format(name)
            known[name] = otherwise[name]
    places = []
    named = {name: value for name, value in known.items() if name not in by_place}
    # By place only as far as something was set; what lies before it has its default.
    last = max((index for index, name in enumerate(by_place, 1) if name in known), default=0)
    for name in by_place[:last]:
        places.append(known[name] if name in known else defaults[name])
    return tuple(places), named, dict(defaults, **known)


def footprint(module, known):
    """The module's own estimate, else what `count` and `item_bytes` come to; None if it has neither."""
    estimate = getattr(module, "footprint", None)
    if estimate is not None:
        by_place, by_name, _, any_name = signature(estimate)
        places = [known[name] for name in by_place if name in known]
        return estimate(*places, **{name: known[name] for name in known if any_name or name in by_name})
    sizes = [known.get(name) for name in ("count", "item_bytes")]
    if all(isinstance(size, int) and size >= 0 for size in sizes):
        return {"payload": sizes[0] * sizes[1]}
    return None
