"""Functions that are given directly: which of them a fresh process finds, and what is said of the others."""

import subprocess
import sys
from pathlib import Path

import pytest

import loader
import refcow
from refcow import functions


def nested():
    def make():
        return []

    return make


class Callable:
    def __call__(self):
        return []


@pytest.mark.parametrize(
    "build, why",
    [
        (lambda: [], "is a lambda, which a fresh process cannot import: write it with `def` at the top of test_functions"),
        (nested(), "is a function in a function, which a fresh process cannot import"),
        (Callable(), "has no module and name to import it by"),
    ],
)
def test_what_cannot_be_imported_is_refused(build, why):
    with pytest.raises(refcow.Error, match=why):
        refcow.measure(build=build, visit=loader.visit_epoch)


def test_a_function_whose_name_means_another_by_now_is_refused(monkeypatch):
    build = loader.build
    monkeypatch.setattr(loader, "build", nested())
    with pytest.raises(refcow.Error, match="importing that name from loader gives something else"):
        refcow.measure(build=build, visit=loader.visit_epoch)


def test_a_function_of_a_script_is_refused(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import refcow\ndef make(): return []\ndef look(x): return x\nrefcow.measure(build=make, visit=look)\n")
    ran = subprocess.run([sys.executable, str(script)], stderr=subprocess.PIPE, encoding="utf-8")
    assert ran.returncode == 1
    assert "build=make is a function of the script or notebook that runs" in ran.stderr


def test_a_method_of_a_class_needs_no_object():
    _, text, _, _ = functions.source(loader.Loader.of_class, [loader.Loader.read], None)
    assert "from loader import Loader as _build\nbuild = _build.of_class\n" in text


@pytest.mark.parametrize("word", ["build", "visit", "prepare"])
def test_a_method_of_an_object_is_refused(word):
    options = {"build": loader.build, "visit": loader.visit_epoch, word: loader.Loader().of_object}
    with pytest.raises(refcow.Error, match=f"{word}=Loader.of_object is bound to an object of this process"):
        refcow.measure(**options)


@pytest.mark.parametrize(
    "options, why",
    [
        ({"build": loader.Loader.of_object}, "build=Loader.of_object cannot be called without parameters: missing .*'self'"),
        ({"row": 5}, "build=build cannot be called with these parameters: got an unexpected keyword argument 'row'"),
        ({"visit": loader.nothing}, "visit=nothing cannot be called with the data alone: too many positional arguments"),
        ({"prepare": loader.nothing}, "prepare=nothing cannot be called with the data alone"),
    ],
)
def test_a_function_that_refcow_cannot_call_is_refused(options, why):
    with pytest.raises(refcow.Error, match=why):
        refcow.measure(**{"build": loader.build, "visit": loader.visit_epoch, **options})


def test_a_module_that_no_statement_can_import_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "my-loader", loader)
    monkeypatch.setattr(loader.build, "__module__", "my-loader")
    with pytest.raises(refcow.Error, match="no import statement can name its module, 'my-loader'"):
        refcow.measure(build=loader.build, visit=loader.visit_epoch)


def test_modules_are_looked_for_where_python_does(monkeypatch):
    # It takes no notice of what is no text.
    monkeypatch.setattr(sys, "path", ["", Path("/nowhere"), *sys.path])
    _, text, _, _ = functions.source(loader.build, [loader.visit_epoch], None)
    (line,) = [line for line in text.splitlines() if line.startswith("sys.path[:] = ")]
    assert eval(line.partition(" = ")[2]) == [str(Path.cwd()), *sys.path[2:]]
