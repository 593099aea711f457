"""`measure`: data is built in a fresh process, and forked workers use it."""

import ast
import contextlib
import os
import shlex
import sys
import tempfile
from typing import Any, Callable, List, Mapping, Optional, Sequence, Union

from refcow import functions, program
from refcow.documents import Run
from refcow.program import hides as __tracebackhide__  # noqa: F401
from refcow.sizes import Bytes

Function = Callable[..., Any]


def measure(
    path: "Union[str, os.PathLike[str], None]" = None,
    *,
    build: Optional[Function] = None,
    visit: Union[str, Function, Sequence[Union[str, Function]]] = (),
    prepare: Union[str, Function, None] = None,
    arguments: Sequence[str] = (),
    children: int = 2,
    env: Optional[Mapping[str, str]] = None,
    lines: bool = False,
    python: Optional[str] = None,
    timeout: Optional[float] = None,
    folder: Optional[str] = None,
    **parameters: Any,
) -> Run:
    """What forked workers copy and make of data.

    `path` is a file with `build` and `visit_NAME` (`loader.py`, `loader.py:epoch`), or a dataset of refcow's own. Without it,
    `build` and `visit` are functions, which a fresh process imports from their modules. All other names are parameters of
    `build`, as Python literals. `arguments`, `children`, `env`, `lines`, `prepare` and `timeout` are what the options of
    `refcow measure` are; `python` is this interpreter unless given, and `folder` the working folder.

    Raises `Error` with refcow's words, and `Unavailable` where nothing can be measured at all.
    """
    if callable(path):
        raise program.Error("give functions by name, and no path: build=FUNCTION, visit=FUNCTION")
    one_or_more = "the name of a visit, a function, or a list of them"
    visits = _list("visit", visit, one_or_more, lambda one: isinstance(one, str) or callable(one))
    if isinstance(arguments, str):
        raise program.Error(f"give arguments={arguments!r} as a list of words, such as {shlex.split(arguments)}")
    arguments = _list("arguments", arguments, "a list of words")
    if not isinstance(env, (Mapping, type(None))):
        raise program.Error(f"env={env!r}: give a dict of variables, such as {{'LANG': 'C'}}")
    for name in env or {}:
        if "=" in str(name):
            raise program.Error(f"no variable of the environment can be called {name!r}: its name would end at `=`")
    chosen = sys.executable if python is None else _path("python", python, "a version, such as '3.12', or a path")
    words = [f"--python={chosen}", f"--children={children}", "--quiet", "--format", "json"]
    words += [f"--env={name}={value}" for name, value in (env or {}).items()]
    words += ["--lines"] if lines else []
    words += [f"--timeout={timeout}"] if timeout is not None else []
    # The text of a file says how its parameters are read, of a function only its value.
    words += [f"--set={name}={_literal(name, value, path is None)}" for name, value in parameters.items()]
    with tempfile.TemporaryDirectory(prefix="refcow-") as draft:
        if path is None:
            named = [one for one in visits if callable(one)]
            if build is None or len(named) < len(visits) or not named or isinstance(prepare, str) and prepare not in GC:
                raise program.Error("give a path, or functions: build=FUNCTION, visit=FUNCTION")
            own = prepare if callable(prepare) else None
            name, text, names, prepared = functions.source(build, named, own)
            functions.check_call("build", build, parameters)
            for one in named:
                functions.check_call("visit", one)
            if own is not None:
                functions.check_call("prepare", own)
            prepare = prepared or prepare
            file = os.path.join(draft, f"{name}.py")
            with open(file, "w", encoding="utf-8") as made:
                made.write(text)
        else:
            if build is not None or callable(prepare) or any(callable(one) for one in visits):
                raise program.Error("a path has its own functions: name its visits, as in visit='epoch'")
            file, names = _path("path", path, "the path of a file, such as 'loader.py'"), [str(one) for one in visits]
            # A file, and no option.
            file = f"./{file}" if file.startswith("-") else file
        words += [f"--visit={one}" for one in names]
        words += [f"--prepare={prepare}"] if prepare is not None else []
        place = None if folder is None else _path("folder", folder, "the path of a folder")
        ran = program.run(["measure", file, *words, *(["--", *map(str, arguments)] if arguments else [])], cwd=place)
    if ran.returncode != 0:
        # Of what is said, only a machine that cannot do it at all is no fault of the caller's.
        program.require(chosen, named=python is not None)
        raise program.Error(ran.stderr.strip())
    run = Run.of(program.document(ran.stdout, program.RUNS))
    for name, value in parameters.items():
        read = run.measurements[0].parameters.get(name, value)
        if path is not None and isinstance(value, str) and read != value:
            raise program.Error(
                f"{name}={value!r} was read as {read!r}, as by --set: to be given texts, let `build` have `{name}: str`"
            )
    run.folder = folder
    return run


def _list(name: str, value: Any, wanted: str, fits: Callable[[Any], bool] = lambda _: True) -> List[Any]:
    """One, or several of them, which all must fit."""
    if isinstance(value, str) or callable(value):
        return [value]
    with contextlib.suppress(TypeError):
        values = list(value)
        if all(map(fits, values)):
            return values
    raise program.Error(f"{name}={value!r}: give {wanted}")


def _path(name: str, value: Any, wanted: str) -> str:
    """A path as text."""
    try:
        return os.fsdecode(value)
    except TypeError:
        raise program.Error(f"{name}={value!r}: give {wanted}") from None


GC = ("freeze", "collect", "collect+freeze", "disable")


def _literal(name: str, value: Any, always: bool) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, str) and not always:
        return value
    text = repr(int(value) if isinstance(value, Bytes) else value)
    try:
        same = ast.literal_eval(text) == value
    except (SyntaxError, ValueError):
        same = False
    if not same:
        raise program.Error(f"{name}={text}: refcow hands parameters to another process as Python literals, such as 5 or 'text'")
    return text
