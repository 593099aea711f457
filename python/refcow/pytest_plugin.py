"""pytest's side: the fixture `refcow`, and refcow's table below a test that fails.

A test that cannot be measured on a machine is skipped there, with refcow's reason, or fails with --refcow-strict.
"""

# Types of pytest's that older versions have under other names are not looked up.
from __future__ import annotations

import hashlib
import os
import re
from typing import Any, Generator, List, NoReturn, Optional
from weakref import WeakKeyDictionary

import pytest

import refcow as package
from refcow.program import hides as __tracebackhide__  # noqa: F401
from refcow.program import output


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("refcow", "memory that forked workers copy")
    group.addoption("--refcow-report", metavar="DIR", help="write a report of each run to a folder in DIR")
    group.addoption(
        "--refcow-strict", action="store_true", help="fail where this machine does not allow measuring, in place of skipping"
    )
    group.addoption(
        "--refcow-update", action="store_true", help="write the baselines of assert_not_worse_than, in place of comparing"
    )


def pytest_configure(config: pytest.Config) -> None:
    place = reports(config)
    if place is not None:
        try:
            os.makedirs(place, exist_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"--refcow-report: {place} is no folder to write to: {error.strerror}") from None
        if not os.access(place, os.W_OK | os.X_OK):
            raise pytest.UsageError(f"--refcow-report: you may not write to {place}")


def reports(config: pytest.Config) -> Optional[str]:
    """The folder for reports."""
    place = config.getoption("refcow_report")
    return None if place is None else os.path.join(config.invocation_params.dir, place)


def folder(test: str) -> str:
    """The name of a test's report: one of its own, whatever the test is called."""
    name = re.sub(r"[^\w.]+", "-", test).strip("-")
    head, _, parameters = test.partition("[")
    # Of other signs not each can be seen in the name.
    if len(name) > 100 or re.search(r"[^\w./:]", head) or re.search(r"[^\w.]", parameters[:-1]):
        name = f"{name[:100]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"
    return name


class Refcow:
    """The package `refcow`, for one test: it keeps the runs, so that a failure shows them."""

    Bytes = package.Bytes
    KiB = staticmethod(package.KiB)
    MiB = staticmethod(package.MiB)
    GiB = staticmethod(package.GiB)
    Error = package.Error
    Unavailable = package.Unavailable

    def __init__(self, config: pytest.Config, test: str) -> None:
        self._config = config
        self._test = test
        self.runs: List[package.Run] = []

    def __repr__(self) -> str:
        # As tests name it.
        return "refcow"

    def measure(self, *words: Any, **options: Any) -> package.Run:
        """`refcow.measure`. Paths begin at pytest's rootdir."""
        options.setdefault("folder", str(self._config.rootpath))
        try:
            run = package.measure(*words, **options)
        except package.Unavailable as error:
            self._unavailable(error)
        run.updates_baselines = bool(self._config.getoption("refcow_update"))
        self.runs.append(run)
        place = reports(self._config)
        if place is not None:
            self._report(run, os.path.join(place, folder(self._test)))
        return run

    def tree(self, pid: Optional[int] = None) -> package.Tree:
        """`refcow.tree`."""
        try:
            return package.tree(pid)
        except package.Unavailable as error:
            self._unavailable(error)

    def _unavailable(self, error: package.Error) -> NoReturn:
        if self._config.getoption("refcow_strict"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))

    def _report(self, run: package.Run, place: str) -> None:
        number = len(self.runs)
        with run._file() as document:
            output(["report", document, "--output", place if number == 1 else f"{place}-{number}"])


@pytest.fixture
def refcow(request: pytest.FixtureRequest) -> Refcow:
    """Measures which memory forked workers copy: `refcow.measure("loader.py:epoch")`."""
    made = FIXTURES[request.node] = Refcow(request.config, request.node.nodeid)
    return made


FIXTURES: WeakKeyDictionary[Any, Refcow] = WeakKeyDictionary()
"""Of each test that has one, however it came by it."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if report.failed and item in FIXTURES:
        # Once: what is taken down may fail, too.
        runs = FIXTURES.pop(item).runs
        for number, run in enumerate(runs, 1):
            title = "refcow" if len(runs) == 1 else f"refcow, run {number}"
            try:
                text = str(run)
            except package.Error as error:
                text = str(error)
            report.sections.append((title, text))
