# Imports each module named on the command line, for real, and says what came of it, and which files that depends on: one
# line of JSON behind a mark.
import importlib
import json
import os
import sys


def version_of(name, module):
    # A module's own word first: importlib.metadata takes longer to import than most modules.
    version = getattr(module, "__version__", None)
    if isinstance(version, str):
        return version
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def files():
    # The folders where modules are looked for, what extends them (.pth), and what has been imported from there.
    for folder in sys.path:
        yield folder
        if os.path.isdir(folder):
            for name in os.listdir(folder):
                if name.endswith(".pth"):
                    yield os.path.join(folder, name)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.split(".")[0] in sys.argv[1:] and isinstance(file, str):
            yield file
            yield os.path.dirname(file)


versions = {}
failures = {}
namespaces = []
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # a module may raise anything, SystemExit included
        failures[name] = "{}: {}".format(type(error).__name__, error)
        continue
    # What is left of a package whose __init__.py has gone imports without complaint.
    if hasattr(module, "__path__") and getattr(module, "__file__", None) is None:
        namespaces.append(name)
    version = version_of(name, module)
    if version is not None:
        versions[name] = version
answer = {"versions": versions, "failures": failures, "namespaces": namespaces, "files": sorted(set(files()))}
sys.stdout.write("\nrefcow-import:" + json.dumps(answer) + "\n")
