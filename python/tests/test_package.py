"""The package against the program: what it measures, saves and refuses."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import loader
import refcow
from refcow import documents, live, program

HERE = Path(__file__).parent
# Each row is a tuple with a header that counting a reference writes to: two pages at least of each hundred rows.
MUCH, LITTLE = refcow.KiB(400), refcow.KiB(400)


def test_a_file_is_measured_with_its_parameters():
    run = refcow.measure(HERE / "loader.py", visit="epoch", rows=20_000)
    (measurement,) = run.measurements
    assert (measurement.fixture, measurement.visit, measurement.parameters) == ("loader", "epoch", {"rows": 20_000})
    assert len(measurement.children) == 2
    assert run.copied > MUCH
    assert run.copied == max(child.bytes.copied for child in measurement.children)
    assert run.sum >= run.copied and run.new >= 0
    assert run.python.version == "%d.%d.%d" % sys.version_info[:3] or sys.version_info.releaselevel != "final"
    assert "Found: each worker copied" in str(run)


def test_text_is_text_and_a_visit_can_stand_behind_a_colon():
    run = refcow.measure(f"{HERE / 'loader.py'}:epoch", kind="bytes", children=1)
    (measurement,) = run.measurements
    assert (measurement.parameters, len(measurement.children)) == ({"kind": "bytes"}, 1)
    assert run.copied < LITTLE


def test_functions_are_measured_as_their_file_is():
    by_file = refcow.measure(HERE / "loader.py", visit=["epoch", "one"], prepare="twice", kind="tuple")
    by_function = refcow.measure(
        build=loader.build, visit=[loader.visit_epoch, loader.visit_one], prepare=loader.prepare_twice, kind="tuple"
    )
    assert [one.visit for one in by_function.measurements] == ["epoch", "one"]
    for one, other in zip(by_file.measurements, by_function.measurements):
        children = one.children + other.children
        headers = [region for child in children for region in child.regions if region.name == "header"]
        assert len(headers) == 4
        # As many as two builds may differ by.
        assert max(region.pages for region in headers) - min(region.pages for region in headers) <= 16
        assert max(region.unshared for region in headers) - min(region.unshared for region in headers) <= 16


def test_a_function_of_a_class_has_a_name_too():
    run = refcow.measure(build=loader.Loader.make, visit=loader.Loader.read)
    assert [one.visit for one in run.measurements] == ["read"]


def canned(*costs):
    """A run whose workers cost so much."""
    children = [{"visit_seconds": 0.0, "regions": [], "bytes": cost} for cost in costs]
    measurement = {"fixture": "f", "visit": "v", "sharing": "fork", "build_seconds": 0.0, "children": children}
    python = {"version": "3.12.1", "executable": "python3", "free_threaded": False}
    warning = {"kind": "pages_in_swap", "reason": "swapped out", "unknown": 1}
    return refcow.Run.of({"runs": [{"python": python, "measurements": [measurement], "warnings": [warning]}]})


def test_a_run_costs_what_its_worst_worker_does():
    run = canned({"copied": 10, "new": 7, "sum": 17}, {"copied": 20, "new": 5, "sum": 25}, {"copied": 15, "new": 6, "sum": 21})
    assert (run.copied, run.new, run.sum) == (20, 7, 25)
    assert repr(run) == "<Run of f/v, CPython 3.12.1>"


def test_what_was_not_counted_of_every_worker_is_no_figure():
    run = canned({"copied": 10, "new": 7}, {"copied": 20})
    assert run.copied == 20
    with pytest.raises(refcow.Error, match="`new` was not counted of every worker. pages_in_swap: swapped out"):
        run.new
    with pytest.raises(refcow.Error, match="`copied` was not counted"):
        canned().copied


def test_functions_of_a_module_that_was_edited_are_known_to_be(tmp_path, monkeypatch):
    file = tmp_path / "edited.py"
    text = "def make(rows=20_000):\n    return [(row,) for row in range(rows)]\ndef visit_all(rows):\n    return {}\n"
    file.write_text(text.format("None"))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("edited")
    refcow.measure(build=module.make, visit=module.visit_all).save(tmp_path / "baseline.json")
    file.write_text(text.format("sum(1 for row in rows)"))
    importlib.invalidate_caches()
    module = importlib.reload(module)
    with pytest.raises(AssertionError, match="edited_make/all(.|\n)*because: .*edited_make.py was edited"):
        refcow.measure(build=module.make, visit=module.visit_all).assert_not_worse_than(tmp_path / "baseline.json")


def test_options_are_those_of_the_command():
    run = refcow.measure(
        HERE / "loader.py",
        visit="one",
        arguments=["-v", "x"],
        env={"MODE": "a=b"},
        lines=True,
        prepare="freeze",
        timeout=60,
        rows=9,
    )
    (measurement,) = run.measurements
    assert (measurement.arguments, measurement.prepare) == (["-v", "x"], "freeze")
    assert run.document["runs"][0]["environment"]["variables"] == {"MODE": "a=b"}
    assert {"--lines", "--timeout"} <= set(run.document["command"])


@pytest.mark.parametrize("is_active", [False, True])
def test_the_environment_that_refcow_is_in_is_measured_with_its_packages(tmp_path, is_active):
    file = tmp_path / "needs_package.py"
    file.write_text("import pluggy\ndef build(): return [pluggy.__file__]\ndef visit_look(data): return None\n")
    folder = str(Path(program.path()).parent)
    path = f"{folder}:/usr/bin:/bin" if is_active else "/usr/bin:/bin"
    ran = subprocess.run(
        ["refcow" if is_active else program.path(), "measure", str(file), "--quiet", "--format", "json"],
        executable=program.path(),
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    python = json.loads(ran.stdout)["runs"][0]["python"]
    assert os.path.dirname(python["executable"]) == folder


@pytest.mark.parametrize(
    "options, why",
    [
        ({"visit": loader.visit_epoch}, "give a path, or functions"),
        ({"build": loader.build}, "give a path, or functions"),
        ({"build": loader.build, "visit": "epoch"}, "give a path, or functions"),
        ({"build": loader.build, "visit": loader.visit_epoch, "prepare": "twice"}, "give a path, or functions"),
        ({"path": HERE / "loader.py", "build": loader.build}, "a path has its own functions"),
        ({"path": HERE / "loader.py", "visit": loader.visit_epoch}, "a path has its own functions"),
        ({"path": HERE / "loader.py", "rows": object()}, "refcow hands parameters to another process as Python literals"),
        ({"path": HERE / "loader.py", "visit": "one", "rows": "5"}, "rows='5' was read as 5(.|\n)*let `build` have `rows: str`"),
        ({"path": HERE / "loader.py", "env": {"A=B": "C"}}, "can be called 'A=B'"),
        ({"path": HERE / "loader.py", "row": 5}, "has no parameter `row`(.|\n)*did you mean `rows`"),
        ({"path": HERE / "no.py"}, "no.py"),
        ({"path": 5}, "path=5: give the path of a file"),
        ({"path": loader.build}, "give functions by name"),
        ({"path": HERE / "loader.py", "visit": 5}, "visit=5: give the name of a visit, a function, or a list of them"),
        ({"build": loader.build, "visit": 5}, "visit=5: give the name of a visit, a function, or a list of them"),
        ({"build": loader.build, "visit": [loader.visit_one, 5]}, "visit=.*5.: give the name of a visit"),
        ({"path": HERE / "loader.py", "env": ["A=B"]}, "env=.'A=B'.: give a dict of variables"),
        ({"path": HERE / "loader.py", "arguments": 5}, "arguments=5: give a list of words"),
        ({"path": HERE / "loader.py", "python": 3.12}, "python=3.12: give a version, such as '3.12'"),
        ({"path": HERE / "loader.py", "folder": 5}, "folder=5: give the path of a folder"),
    ],
)
def test_bad_input_is_said_in_words(options, why):
    with pytest.raises(refcow.Error, match=why) as caught:
        refcow.measure(**options)
    assert not isinstance(caught.value, refcow.Unavailable)


@pytest.mark.parametrize("python", ["3.99", "/bin/true", "/nowhere/python", "pyhton3"])
def test_an_interpreter_that_was_mistyped_is_no_matter_of_the_machine(python):
    with pytest.raises(refcow.Error) as caught:
        refcow.measure(HERE / "loader.py", python=python)
    assert not isinstance(caught.value, refcow.Unavailable)


def test_an_interpreter_that_cannot_be_measured_is_no_fault_of_the_test(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(refcow.Unavailable):
        refcow.measure(HERE / "loader.py")


def test_a_run_that_copies_more_than_its_baseline_fails(tmp_path):
    small = refcow.measure(HERE / "loader.py", visit="epoch", kind="bytes")
    large = refcow.measure(HERE / "loader.py", visit="epoch")
    place = tmp_path / "baselines" / "loader.json"
    with pytest.raises(refcow.Error, match="there is no baseline"):
        small.assert_not_worse_than(place)
    small.save(place)
    assert json.loads(place.read_text())["runs"][0]["measurements"]
    small.assert_not_worse_than(place)
    with pytest.raises(AssertionError, match="(?s)regressed.*loader/epoch.*a worker copied and made"):
        large.assert_not_worse_than(place)
    large.save(place)
    small.assert_not_worse_than(place)


def test_what_cannot_be_compared_with_a_baseline_fails(tmp_path):
    place = tmp_path / "loader.json"
    two = refcow.measure(HERE / "loader.py", visit=["one", "epoch"], rows=100)
    refcow.measure(HERE / "loader.py", visit="one", rows=100).save(place)
    with pytest.raises(refcow.Error, match="(?s)not all of this run can be compared.*loader/epoch: the baseline does not have it"):
        two.assert_not_worse_than(place)
    # What the baseline has besides is no matter of this run.
    two.save(place)
    refcow.measure(HERE / "loader.py", visit="one", rows=100).assert_not_worse_than(place)
    huge = json.loads(place.read_text())
    huge["runs"][0]["environment"]["transparent_huge_pages"] = {"enabled": "always", "disabled_in_subject": False}
    place.write_text(json.dumps(huge))
    with pytest.raises(refcow.Error, match="(?s)loader/one: huge pages: always and off.*these differ: .*huge pages.*--refcow-update"):
        two.assert_not_worse_than(place)


def test_a_run_that_cannot_be_saved_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "run.json"):
        with pytest.raises(refcow.Error, match="cannot be saved as .*(Is a directory|File exists)"):
            canned({"copied": 10}).save(place)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}.*"))


def test_what_is_no_baseline_is_said(tmp_path):
    place = tmp_path / "loader.json"
    place.write_text("{}")
    run = refcow.measure(HERE / "loader.py", visit="one", rows=10)
    with pytest.raises(refcow.Error, match="loader.json"):
        run.assert_not_worse_than(place)


def test_a_tree_shows_what_forked_processes_share(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "import os, refcow\n"
        "data = bytearray(b'x' * 4_000_000)\n"
        "ready, written = os.pipe()\n"
        "wait, go = os.pipe()\n"
        "worker = os.fork()\n"
        "if worker == 0:\n"
        "    os.close(go)\n"
        "    data[::4096] = b'y' * len(data[::4096])\n"
        "    os.write(written, b'1')\n"
        "    os.read(wait, 1)\n"
        "    os._exit(0)\n"
        "os.read(ready, 1)\n"
        "tree = refcow.tree()\n"
        "os.close(go)\n"
        "os.waitpid(worker, 0)\n"
        "own, one = tree.process(os.getpid()), tree.process(worker)\n"
        "assert (own.depth, one.depth, one.parent_pid) == (0, 1, os.getpid()), tree\n"
        "assert one.copied_pages + one.written_by_both_pages + one.unknown_pages >= 970, one\n"
        "assert 0 < one.shared_pages, one\n"
        "assert tree.page_bytes == os.sysconf('SC_PAGESIZE') and len(tree.processes) == 2, tree\n"
    )
    subprocess.run([sys.executable, str(script)], check=True)


@pytest.mark.parametrize(
    "words, kinds",
    [
        (
            [],
            [
                documents.Run, documents.Measurement, documents.Child, documents.VisitBytes, documents.Peak, documents.Region,
                documents.Written, documents.Python,
            ],
        ),
        (["trees"], [live.ProcessFigures, live.Total]),
    ],
)  # fmt: skip
def test_the_words_are_those_of_the_schema(words, kinds):
    schema = json.loads(program.output(["schema", *words]))
    own = {"document", "folder", "updates_baselines"}
    for kind in kinds:
        of_schema = schema["$defs"][kind.__name__]
        names = {one.name for one in dataclasses.fields(kind)} - own
        assert names <= set(of_schema["properties"]), kind
        always = {one.name for one in dataclasses.fields(kind) if one.default is one.default_factory is dataclasses.MISSING}
        assert always <= set(of_schema["required"]) or kind is documents.Run, kind


@pytest.mark.parametrize(
    "number, words",
    [
        (0, "0 B"), (999, "999 B"), (1_000, "1.0 KiB"), (2_048, "2 KiB"), (319_488, "312 KiB"), (655_000, "640 KiB"),
        (2**20, "1 MiB"), (144_808_345, "138.1 MiB"), (-8_192, "-8 KiB"),
    ],
)  # fmt: skip
def test_bytes_read_as_in_the_tables(number, words):
    assert repr(refcow.Bytes(number)) == str(refcow.Bytes(number)) == words


def test_units_are_binary():
    assert (refcow.KiB(1.5), refcow.MiB(1), refcow.GiB(1)) == (1536, 1024**2, 1024**3)
