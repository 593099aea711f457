"""The plugin, in a pytest of its own: what a test that fails shows, and when one is skipped."""

import subprocess
import sys

import pytest

from refcow import pytest_plugin

MODULE = """
def build(rows=20_000):
    return [(row,) for row in range(rows)]

def visit_read(rows):
    return sum(1 for row in rows)

def visit_nothing(rows):
    return None
"""
TEST = """
def test_workers_share(refcow):
    run = refcow.measure("rows.py:{visit}", rows=20_000)
    assert run.copied < refcow.KiB(100)
"""


@pytest.fixture
def project(pytester):
    pytester.makepyfile(rows=MODULE)
    return pytester


def run(project, *words):
    # As the environment has it: the plugin comes by its entry point.
    return project.runpytest_subprocess("-p", "no:cacheprovider", *words)


def test_what_shares_passes(project):
    project.makepyfile(TEST.format(visit="nothing"))
    run(project).assert_outcomes(passed=1)


# As fixtures come to a class of unittest.
UNITTEST = """
import unittest
import pytest

class TestWorkers(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def with_refcow(self, request):
        self.refcow = request.getfixturevalue("refcow")

    def test_share(self):
        run = self.refcow.measure("rows.py:{visit}", rows=20_000)
        assert run.copied < self.refcow.KiB(100)
"""


@pytest.mark.parametrize("test", [TEST, UNITTEST])
def test_a_failure_shows_the_table_and_the_sentence(project, test):
    project.makepyfile(test.format(visit="read"))
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"E +(AssertionError: )?assert [\d.]+ [KM]iB < 100 KiB",
            r"E +\+ +where [\d.]+ [KM]iB = <Run of rows/read, CPython \d\.\d+\.\d+\S*>.copied",
            r"E +\+ +and +100 KiB = <function KiB at .*",
            r"E +\+ +where <function KiB at .*> = refcow.KiB",
            r"-+ refcow -+",
            r"rows, shared by fork.*",
            r"each worker +read",
            r"Found: each worker copied .*",
        ]
    )


def test_paths_begin_at_the_root_whatever_the_folder(project, monkeypatch):
    project.makepyfile(TEST.format(visit="nothing") + '    run.save("saved/rows.json")\n')
    project.makeini("[pytest]")
    inner = project.mkdir("inner")
    monkeypatch.chdir(inner)
    run(project, "..").assert_outcomes(passed=1)
    assert (project.path / "saved" / "rows.json").is_file()


def test_a_report_is_written_for_each_run(project):
    project.makepyfile(
        """
        def test_two(refcow):
            refcow.measure("rows.py:nothing", rows=10)
            refcow.measure("rows.py:nothing", rows=20)
        """
    )
    run(project, "--refcow-report", "reports").assert_outcomes(passed=1)
    folders = sorted(folder.name for folder in (project.path / "reports").iterdir())
    assert len(folders) == 2 and folders[1] == f"{folders[0]}-2", folders
    for folder in folders:
        assert (project.path / "reports" / folder / "index.html").is_file()
        assert (project.path / "reports" / folder / "run.json").is_file()


def test_a_baseline_is_written_when_asked_and_compared_with_otherwise(project):
    test = """
    def test_not_worse(refcow):
        refcow.measure("rows.py:{visit}", rows=20_000).assert_not_worse_than("baselines/rows.json")
    """
    project.makepyfile(test.format(visit="read"))
    missing = run(project)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*there is no baseline *baselines/rows.json", "*pytest --refcow-update"])
    run(project, "--refcow-update").assert_outcomes(passed=1)
    run(project).assert_outcomes(passed=1)
    source = (project.path / "rows.py").read_text()
    (project.path / "rows.py").write_text(source.replace("(row,)", "(row, (row,))"))
    worse = run(project)
    worse.assert_outcomes(failed=1)
    worse.stdout.fnmatch_lines(["E *rows/read", "E *because: rows.py was edited"])


UNAVAILABLE = """
import pytest
import refcow.program

@pytest.fixture(autouse=True)
def no_program(monkeypatch):
    def path():
        raise refcow.program.Unavailable("the program is missing")
    monkeypatch.setattr(refcow.program, "path", path)
"""


def test_where_nothing_can_be_measured_a_test_is_skipped_or_fails_if_it_must_run(project):
    project.makeconftest(UNAVAILABLE)
    project.makepyfile(TEST.format(visit="read") + "\ndef test_tree(refcow):\n    refcow.tree()\n")
    skipped = run(project, "-rs")
    skipped.assert_outcomes(skipped=2)
    skipped.stdout.fnmatch_lines(["SKIPPED*the program is missing"])
    strict = run(project, "--refcow-strict")
    strict.assert_outcomes(failed=2)
    strict.stdout.fnmatch_lines(["*the program is missing"])


def test_bad_input_is_a_failure_and_never_skipped(project):
    project.makepyfile(TEST.format(visit="raed"))
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*refcow.measure(*", "E *did you mean*"])
    # What failed is the test, and not the package.
    result.stdout.no_fnmatch_line("*/refcow/*.py:*")


def test_a_table_that_cannot_be_shown_hides_no_failure(project):
    project.makepyfile(
        """
        import refcow.program

        def test_alone(refcow, monkeypatch):
            refcow.measure("rows.py:nothing", rows=10)
            monkeypatch.setattr("refcow.program.path", no_program)
            assert 1 == 2

        def no_program():
            raise refcow.program.Unavailable("the program is gone")
        """
    )
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *assert 1 == 2", "*- refcow -*", "the program is gone"])


def test_a_place_for_reports_that_is_none_is_said_before_anything_is_measured(project):
    project.makepyfile(TEST.format(visit="nothing"))
    result = run(project, "--refcow-report", "rows.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --refcow-report: *rows.py is no folder to write to: File exists"])


def test_a_pytest_without_names_for_its_types_takes_the_plugin():
    # Before pytest 7 it has none, and would not start at all beside a plugin that looks one up.
    forget = "import pytest\nfor name in 'CallInfo', 'Config', 'FixtureRequest', 'Item', 'Parser': delattr(pytest, name)\n"
    subprocess.run([sys.executable, "-c", f"{forget}import refcow.pytest_plugin"], check=True)


def test_each_test_has_a_report_of_its_own():
    assert pytest_plugin.folder("in/test_a.py::TestX::test_b[one]") == "in-test_a.py-TestX-test_b-one"
    alike = [f"test_a.py::test_b[{name}]" for name in ("a b", "a-b", "a/b", "a::b", "ü", "x" * 300)]
    names = {pytest_plugin.folder(name) for name in alike}
    assert len(names) == len(alike)
    assert all(len(name) < 120 for name in names)
