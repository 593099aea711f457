"""pytest's side: the fixture `refcow`, and refcow's table below a test that fails.

A test that cannot be measured on a machine is skipped there, with refcow's reason, or fails with --refcow-strict.
"""

import os
import re
from typing import Any, Generator, List, NoReturn, Optional

import pytest

import refcow as package
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

    def measure(self, *words: Any, **options: Any) -> package.Run:
        """`refcow.measure`. Paths begin at pytest's rootdir."""
        options.setdefault("folder", str(self._config.rootpath))
        try:
            run = package.measure(*words, **options)
        except package.Unavailable as error:
            self._unavailable(error)
        run.updates_baselines = bool(self._config.getoption("refcow_update"))
        self.runs.append(run)
        place = self._config.getoption("refcow_report")
        if place is not None:
            self._report(run, os.path.join(self._config.invocation_params.dir, place))
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
        name = re.sub(r"[^\w.-]+", "-", self._test).strip("-")
        number = len(self.runs)
        folder = os.path.join(place, name if number == 1 else f"{name}-{number}")
        os.makedirs(place, exist_ok=True)
        with run._file() as document:
            output(["report", document, "--output", folder])


@pytest.fixture
def refcow(request: pytest.FixtureRequest) -> Refcow:
    """Measures which memory forked workers copy: `refcow.measure("loader.py:epoch")`."""
    return Refcow(request.config, request.node.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    fixture = getattr(item, "funcargs", {}).get("refcow")
    if report.when == "call" and report.failed and isinstance(fixture, Refcow):
        for number, run in enumerate(fixture.runs, 1):
            title = "refcow" if len(fixture.runs) == 1 else f"refcow, run {number}"
            report.sections.append((title, str(run)))
