"""Which of a module's functions run nothing when they are called. It is executed in a namespace that is emptied again at once, and
imports nothing: what stayed would be on the heap of the process that is forked. It calls none of the functions.
"""
import sys

FUNCTION = type(lambda: None)
METHOD = type((lambda self: None).__get__(0))


def kind_of_code(code):
    """By the flags that the compiler sets (CO_GENERATOR and so on)."""
    flags = code.co_flags
    if flags & 0x200:
        return "async_generator"
    if flags & 0x80:
        return "coroutine"
    if flags & 0x20:
        return "generator"
    return None


def look(function, depth=0):
    """(kind, file, line) if a call of it runs nothing, else None."""
    if depth > 50:
        return None
    functools = sys.modules.get("functools")
    if type(function) is METHOD:
        return look(function.__func__, depth + 1)
    if type(function) in (staticmethod, classmethod):
        return look(function.__func__, depth + 1)
    if type(function) is FUNCTION:
        code = function.__code__
        kind = kind_of_code(code)
        if kind:
            return kind, code.co_filename, code.co_firstlineno
        return look_into(function, closed_over(function), depth)
    if functools is not None:
        if isinstance(function, functools.partial):
            return look(function.func, depth + 1)
        if type(function) is type(functools.lru_cache()(kind_of_code)):
            return look(function.__wrapped__, depth + 1)
    if isinstance(function, type):
        return None
    for kind in type(function).__mro__:
        call = vars(kind).get("__call__")
        if type(call) is FUNCTION:
            found = kind_of_code(call.__code__)
            if found:
                return found, call.__code__.co_filename, call.__code__.co_firstlineno
            held = getattr(function, "__dict__", None)
            return look_into(call, held if type(held) is dict else {}, depth)
    return None


def closed_over(function):
    """What it has from the function around it, by its names there."""
    cells = function.__closure__ or ()
    held = {}
    for name, cell in zip(function.__code__.co_freevars, cells):
        try:
            held[name] = cell.cell_contents
        except ValueError:
            pass
    return held


def look_into(function, held, depth):
    """The same of a function around others, as a decorator makes it: what they are, if it hands on what they return."""
    around = {}
    for name, value in held.items():
        if callable(value) and not isinstance(value, type):
            found = look(value, depth + 1)
            if found:
                around[name] = found
    if not around:
        return None
    found = next(iter(around.values()))
    if function.__globals__.get("__name__") == "contextlib":
        return ("context_manager",) + found[1:]
    return found if hands_on(function.__code__, around) else None


def hands_on(code, names):
    """Whether the text of a function says that it returns what these functions return, and does nothing else with it."""
    try:
        with open(code.co_filename, "rb") as file:
            tree = compile(file.read(), code.co_filename, "exec", 0x400, True)  # ast.PyCF_ONLY_AST
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    open_nodes, body = [tree], None
    while open_nodes:
        node = open_nodes.pop()
        lines = [one.lineno for one in getattr(node, "decorator_list", ())] + [getattr(node, "lineno", 0)]
        if getattr(node, "name", None) == code.co_name and min(lines) == code.co_firstlineno:
            body = node.body
            break
        open_nodes.extend(children(node))
    if body is None:
        return False
    results, returned, elsewhere = set(), set(), set()
    handed, calls = 0, 0
    open_nodes = list(body)
    while open_nodes:
        node = open_nodes.pop()
        of = type(node).__name__
        value = getattr(node, "value", None)
        if of == "Return" and is_call(value, names):
            handed += 1
            calls += 1
            open_nodes.extend(children(value))
            continue
        if of == "Return" and type(value).__name__ == "Name":
            returned.add(value.id)
            continue
        if of == "Assign" and is_call(value, names) and len(node.targets) == 1 and type(node.targets[0]).__name__ == "Name":
            results.add(node.targets[0].id)
            calls += 1
            open_nodes.extend(children(value))
            continue
        if is_call(node, names):
            # Its result goes somewhere else.
            return False
        if of == "Name":
            elsewhere.add(node.id)
        open_nodes.extend(children(node))
    return bool(calls) and not results & elsewhere and results <= returned and (handed or results)


def is_call(node, names):
    """Whether it calls one of these: `name(…)`, or `self.name(…)`."""
    if type(node).__name__ != "Call":
        return False
    function = node.func
    if type(function).__name__ == "Name":
        return function.id in names
    return type(function).__name__ == "Attribute" and type(function.value).__name__ == "Name" and function.attr in names


def children(node):
    for field in node._fields:
        value = getattr(node, field, None)
        for one in value if isinstance(value, list) else [value]:
            if hasattr(one, "_fields"):
                yield one


def deferred(module, names):
    """(name, kind, file, line) of the first of these that runs nothing when it is called; None if there is none."""
    for name in names:
        found = look(vars(module).get(name))
        if found:
            return (name,) + found
    return None
