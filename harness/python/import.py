# Imports each module named on the command line, for real, and says what came of it: one line of JSON behind a mark.
import importlib
import json
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


versions = {}
failures = {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # a module may raise anything, SystemExit included
        failures[name] = "{}: {}".format(type(error).__name__, error)
        continue
    version = version_of(name, module)
    if version is not None:
        versions[name] = version
sys.stdout.write("\nrefcow-import:" + json.dumps({"versions": versions, "failures": failures}) + "\n")
