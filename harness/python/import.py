# Imports each module named on the command line, for real, and says what came of it: one line of JSON behind a mark.
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


def sha256_of(name, version, module):
    # Of the names and hashes that RECORD (PEP 376, PEP 627) has of a package's files. What an installer adds differs: byte
    # code, and most of what is in the .dist-info folder. importlib.metadata would find it, too, and take longer to import.
    import hashlib

    folder = os.path.dirname(os.path.dirname(getattr(module, "__file__", None) or ""))
    try:
        path = os.path.join(folder, "{}-{}.dist-info".format(name, version), "RECORD")
        with open(path, encoding="utf-8") as file:
            record = file.read()
    except (OSError, ValueError):
        return None
    lines = [",".join(line.rsplit(",", 2)[:2]) for line in record.splitlines()]
    kept = [line for line in lines if "sha256=" in line and ".dist-info/" not in line and "__pycache__" not in line]
    return hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest() if kept else None


versions = {}
hashes = {}
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
    sha256 = sha256_of(name, version, module)
    if sha256 is not None:
        hashes[name] = sha256
answer = {"versions": versions, "sha256": hashes, "failures": failures, "namespaces": namespaces}
sys.stdout.write("\nrefcow-import:" + json.dumps(answer) + "\n")
