"""Functions that were given directly: a file for refcow that imports them by their modules, in a fresh process."""

import hashlib
import inspect
import keyword
import os
import re
import sys
from types import MethodType
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from refcow.program import Error
from refcow.program import hides as __tracebackhide__  # noqa: F401


def _place(function: Callable[..., Any], word: str) -> Tuple[str, str]:
    """The module and the name in it by which a fresh process finds this very function."""
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if not isinstance(name, str) or not isinstance(module, str):
        raise Error(f"{word}={function!r} has no module and name to import it by: give a function of a module")
    if module == "__main__":
        raise Error(
            f"{word}={name} is a function of the script or notebook that runs, which a fresh process cannot import: "
            "put it into a module"
        )
    if "<" in name:
        kind = "a lambda" if "<lambda>" in name.rsplit(".", 1)[-1] else "a function in a function"
        top = f"write it with `def` at the top of {module}"
        raise Error(f"{word}={name} is {kind}, which a fresh process cannot import: {top}")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in module.split(".")):
        raise Error(f"{word}={name}: no import statement can name its module, {module!r}: give the file's path in place of functions")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    # What a class method is bound to its class by is made anew each time.
    if found is not function and not (isinstance(found, MethodType) and found == function):
        if isinstance(function, MethodType):
            raise Error(f"{word}={name} is bound to an object of this process: give a function that makes what it needs")
        raise Error(f"{word}={name}: importing that name from {module} gives something else, {found!r}")
    return module, name


def check_call(word: str, function: Callable[..., Any], parameters: Optional[Mapping[str, Any]] = None) -> None:
    """Raises `Error` if this function cannot be called as refcow does: `build` with these parameters, others with the data."""
    try:
        signature = inspect.signature(function)
    # Functions that are written in C need not have one.
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*([None] if parameters is None else []), **(parameters or {}))
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        with_some = "with these parameters" if parameters else "without parameters"
        given = "with the data alone" if parameters is None else with_some
        raise Error(f"{word}={name} cannot be called {given}: {error}") from None


def _digest(module: str) -> str:
    """Of the module's file, by which a later run sees that it was edited."""
    file = getattr(sys.modules[module], "__file__", None)
    if file is None or not os.path.isfile(file):
        return ""
    with open(file, "rb") as source:
        return hashlib.sha256(source.read()).hexdigest()


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _name(qualified: str, prefix: str) -> str:
    """Of a visit or a preparation, as its file would have it."""
    name = qualified.rsplit(".", 1)[-1]
    return name[len(prefix) :] if name.startswith(prefix) and name != prefix else name


def source(
    build: Callable[..., Any],
    visits: Sequence[Callable[..., Any]],
    prepare: Optional[Callable[..., Any]],
) -> Tuple[str, str, List[str], Optional[str]]:
    """(name, text, names of visits, name of preparation): the file that makes a dataset of them."""
    places = [("build", *_place(build, "build"))]
    visit_names = []
    for visit in visits:
        module, name = _place(visit, "visit")
        visit_names.append(_name(name, "visit_"))
        places.append((f"visit_{visit_names[-1]}", module, name))
    if len(set(visit_names)) < len(visit_names):
        raise Error(f"two visits have one name: {', '.join(visit_names)}")
    prepare_name = None
    if prepare is not None:
        module, name = _place(prepare, "prepare")
        prepare_name = _name(name, "prepare_")
        places.append((f"prepare_{prepare_name}", module, name))
    lines = [f'"""{build.__module__}.{build.__qualname__}, given to refcow.measure."""']
    lines += [f"# {module} {_digest(module)}".rstrip() for module in sorted({module for _, module, _ in places})]
    # A relative entry means the working folder, which the fresh process has, too.
    lines += ["import sys", f"sys.path[:] = {[one or os.getcwd() for one in sys.path if isinstance(one, str)]!r}"]
    for alias, module, name in places:
        first, *rest = name.split(".")
        lines.append(f"from {module} import {first} as {alias if not rest else '_' + alias}")
        if rest:
            lines.append(f"{alias} = _{alias}.{'.'.join(rest)}")
    # Not the module's own name, which it imports.
    return (
        f"{_identifier(build.__module__)}_{_identifier(build.__qualname__)}",
        "\n".join(lines) + "\n",
        visit_names,
        prepare_name,
    )
