# Imports each module named on the command line, for real, and says what came of it: one line of JSON behind a mark.
import importlib
import importlib.metadata
import json
import sys

versions = {}
failures = {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # a module may raise anything, SystemExit included
        failures[name] = "{}: {}".format(type(error).__name__, error)
        continue
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = getattr(module, "__version__", None)
        if isinstance(version, str):
            versions[name] = version
sys.stdout.write("\nrefcow-import:" + json.dumps({"versions": versions, "failures": failures}) + "\n")
