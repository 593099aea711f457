# Answers what refcow asks of an interpreter: one line of JSON behind a mark. Valid in Python 2.7 too, which is refused
# by its version, not by a syntax error.
import sys

# -c puts the working folder first; nothing there may answer in a module's place. (-I would do it, but 2.7 has no -I.)
sys.path[:] = [entry for entry in sys.path if entry]

import json
import os
import sysconfig


def program():
    # Behind a wrapper, too: the file that this very process runs.
    try:
        return os.readlink("/proc/self/exe")
    except (IOError, OSError):
        return None


def loaded():
    # Where CPython itself is in a library: a new one under the same name is another interpreter.
    try:
        with open("/proc/self/maps") as maps:
            paths = [line.rstrip("\n").split(None, 5)[-1] for line in maps if "/libpython" in line]
    except (IOError, OSError):
        return []
    return sorted(set(path for path in paths if path.startswith("/")))


# sys.implementation is 3.3's.
implementation = getattr(sys, "implementation", None)
if implementation is None:
    import platform
answer = {
    "implementation": implementation.name if implementation else platform.python_implementation().lower(),
    "version": sys.version,
    "version_info": list(sys.version_info[:3]),
    "executable": sys.executable,
    "prefix": sys.prefix,
    "base_prefix": getattr(sys, "base_prefix", sys.prefix),
    "program": program(),
    "gil_disabled": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "loaded": loaded(),
}
# A sitecustomize may have left a line unfinished.
sys.stdout.write("\nrefcow-probe:" + json.dumps(answer) + "\n")
