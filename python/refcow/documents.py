"""What a run says, in the words of refcow's JSON (`refcow schema`).

These classes name what most people ask for. `Run.document` is the whole of it.
"""

import contextlib
import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type, TypeVar, Union, get_type_hints

from refcow import program
from refcow.program import hides as __tracebackhide__  # noqa: F401
from refcow.sizes import Bytes

T = TypeVar("T")


def read(kind: Type[T], value: Dict[str, Any]) -> T:
    """An object of JSON as one of these dataclasses. What a class does not name is left out."""
    hints = get_type_hints(kind)
    known: Dict[str, Any] = {}
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]
        if one.name in value:
            known[one.name] = _value(hints[one.name], value[one.name])
    return kind(**known)


def _value(hint: Any, value: Any) -> Any:
    inner: Any = getattr(hint, "__args__", ())
    if getattr(hint, "__origin__", None) is Union and value is not None:
        return _value(inner[0], value)
    if getattr(hint, "__origin__", None) is list:
        return [_value(inner[0], one) for one in value]
    if dataclasses.is_dataclass(hint):
        return read(hint, value)  # type: ignore[arg-type]
    return Bytes(value) if hint is Bytes else value


@dataclass(frozen=True)
class Python:
    """The interpreter that was measured."""

    version: str
    executable: str
    free_threaded: bool
    build: Optional[str] = None


@dataclass(frozen=True)
class Warning:
    """What limits the figures: `kind`, and a `reason` where it has one."""

    kind: str
    reason: Optional[str] = None


@dataclass(frozen=True)
class VisitBytes:
    """What a visit cost one worker. Absent (`None`): not counted."""

    copied: Bytes
    new: Optional[Bytes] = None
    file: Optional[Bytes] = None
    sum: Optional[Bytes] = None
    uss_growth: Optional[Bytes] = None


@dataclass(frozen=True)
class Peak:
    """What a worker had at most during its visit, of copies and new memory."""

    bytes: Bytes
    looks: int
    copied_pages: Optional[int] = None


@dataclass(frozen=True)
class Region:
    """Pages of one part of the data, or of the process around it."""

    name: str
    pages: int
    unshared: int
    identical: Optional[int] = None
    causes: Optional[Dict[str, int]] = None


@dataclass(frozen=True)
class Written:
    """Copied pages whose first writes are alike."""

    region: str
    cause: str
    pages: int
    type: Optional[str] = None
    function: Optional[str] = None
    line: Optional[str] = None
    own_line: Optional[str] = None
    package: Optional[str] = None
    identical: Optional[int] = None


@dataclass(frozen=True)
class Child:
    """One forked worker that visited the data."""

    visit_seconds: float
    regions: List[Region]
    bytes: Optional[VisitBytes] = None
    peak: Optional[Peak] = None
    written: List[Written] = field(default_factory=list)
    imported: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """One dataset and one visit."""

    fixture: str
    visit: str
    sharing: str
    build_seconds: float
    children: List[Child]
    prepare: Optional[str] = None
    count: Optional[int] = None
    parameters: Dict[str, Any] = field(default_factory=dict)
    arguments: List[str] = field(default_factory=list)


@dataclass(repr=False)
class Run:
    """What one interpreter gave: as a rule one measurement."""

    python: Python
    measurements: List[Measurement]
    warnings: List[Warning] = field(default_factory=list)
    seconds: Optional[float] = None
    document: Dict[str, Any] = field(default_factory=dict, compare=False)
    """All of the JSON."""
    folder: Optional[str] = field(default=None, compare=False)
    """What relative paths of baselines begin at; `None` for the working folder."""
    updates_baselines: bool = field(default=False, compare=False)
    """Whether `assert_not_worse_than` writes the baseline in place of comparing with it."""

    @classmethod
    def of(cls, document: Dict[str, Any]) -> "Run":
        """Of a document of one run."""
        if not document.get("runs"):
            raise program.Error("this document holds no run: it is none of `refcow measure`")
        run = read(cls, document["runs"][0])
        run.document = document
        return run

    @property
    def copied(self) -> Bytes:
        """Bytes that a worker copied: of the worker and the visit with most."""
        return self._most("copied", lambda cost: cost.copied)

    @property
    def new(self) -> Bytes:
        """Bytes that a worker filled anew: of the worker and the visit with most."""
        return self._most("new", lambda cost: cost.new)

    @property
    def sum(self) -> Bytes:
        """Bytes that a worker copied, filled anew and mapped of files: of the worker and the visit with most."""
        return self._most("sum", lambda cost: cost.sum)

    def _most(self, name: str, of: Callable[[VisitBytes], Optional[Bytes]]) -> Bytes:
        children = [child for measurement in self.measurements for child in measurement.children]
        figures = [of(child.bytes) if child.bytes is not None else None for child in children]
        known = [figure for figure in figures if figure is not None]
        if not figures or len(known) < len(figures):
            reasons = [f"{one.kind}: {one.reason}" if one.reason else one.kind for one in self.warnings]
            raise program.Error(f"`{name}` was not counted of every worker. {'; '.join(reasons)}".strip())
        return max(known)

    def __repr__(self) -> str:
        names = ", ".join(f"{one.fixture}/{one.visit}" for one in self.measurements)
        return f"<Run of {names}, CPython {self.python.version}>"

    def __str__(self) -> str:
        """refcow's table, with its sentence `Found` at the end."""
        with self._file() as path:
            return program.output(["merge", path, "--format", "table"]).rstrip("\n")

    def save(self, path: "Union[str, os.PathLike[str]]") -> None:
        """Writes the document, which a later run can be compared with."""
        place = os.path.join(self.folder or "", path)
        # As a whole or not at all.
        draft = f"{place}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
            try:
                with open(draft, "w", encoding="utf-8") as file:
                    json.dump(self.document, file, indent=2)
                    file.write("\n")
                os.replace(draft, place)
            finally:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(draft)
        except OSError as error:
            raise program.Error(f"the run cannot be saved as {place}: {error.strerror}") from None

    def assert_not_worse_than(self, path: "Union[str, os.PathLike[str]]") -> None:
        """Fails if a worker copies or makes more than in the run that was saved there, noise aside (`refcow compare`).

        Raises `Error` if there is no baseline, or a visit of this run cannot be compared with it.
        """
        place = os.path.join(self.folder or "", path)
        if self.updates_baselines:
            return self.save(place)
        if not os.path.exists(place):
            raise program.Error(
                f"there is no baseline {place}\nwrite it with run.save({os.fspath(path)!r}), or pytest --refcow-update"
            )
        with self._file() as own:
            ran = program.run(["compare", place, own])
            if ran.returncode == 1:
                raise AssertionError(f"{ran.stdout.strip()}\n\n{ran.stderr.strip()}")
            if ran.returncode != 0:
                raise program.Error(ran.stderr.strip())
            comparison = program.document(program.output(["compare", place, own, "--format=json"]), program.RUNS)
        unknown = list(_not_compared(comparison))
        if unknown:
            differs = [one for runs in comparison["compared"] for one in runs["differs"]]
            raise program.Error(
                f"not all of this run can be compared with the baseline {place}\n"
                + "".join(f"  {what}: {why}\n" for what, why in unknown)
                + (f"these differ: {', '.join(differs)}\n" if differs else "")
                + "keep a baseline of each Python and machine that you test on, under names of their own, "
                "or write this one anew: pytest --refcow-update"
            )
        return None

    def _file(self) -> "_File":
        return _File(json.dumps(self.document))


def _not_compared(comparison: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    """The visits of the newer run that the comparison says nothing of, and why."""
    for row in (row for runs in comparison["compared"] for row in runs["rows"]):
        cost = row["key"].get("cost")
        if cost is not None and row["status"] in ("not comparable", "only in new"):
            yield f"{cost['fixture']}/{cost['visit']}", row.get("because", "the baseline does not have it")


class _File:
    """Text in a file, as long as it is needed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self) -> str:
        self.folder = tempfile.TemporaryDirectory(prefix="refcow-")
        path = os.path.join(self.folder.name, "run.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.text)
        return path

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()
