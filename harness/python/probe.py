# Answers what refcow asks of an interpreter: one line of JSON behind a mark. Valid in Python 2.7 too, which is refused
# by its version, not by a syntax error.
import sys

# -c puts the working folder first; nothing there may answer in a module's place. (-I would do it, but 2.7 has no -I.)
sys.path[:] = [entry for entry in sys.path if entry]

import json
import platform
import sysconfig


def loaded():
    # What this very process maps is a better answer than any build-time variable.
    try:
        with open("/proc/self/maps") as maps:
            paths = [line.rstrip("\n").split(None, 5)[-1] for line in maps if "/libpython" in line]
    except (IOError, OSError):
        return []
    return sorted(set(path for path in paths if path.startswith("/")))


def packages(names):
    found = {}
    if sys.version_info < (3, 8):
        return found
    import importlib.util

    for name in names:
        if importlib.util.find_spec(name) is not None:
            import importlib.metadata

            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                pass
    return found


# sys.implementation is 3.3's.
implementation = getattr(sys, "implementation", None)
answer = {
    "implementation": implementation.name if implementation else platform.python_implementation().lower(),
    "version": sys.version,
    "version_info": list(sys.version_info[:3]),
    "executable": sys.executable,
    "prefix": sys.prefix,
    "base_prefix": getattr(sys, "base_prefix", sys.prefix),
    "libdir": sysconfig.get_config_var("LIBDIR"),
    "multiarch": sysconfig.get_config_var("MULTIARCH"),
    "instsoname": sysconfig.get_config_var("INSTSONAME"),
    "ldlibrary": sysconfig.get_config_var("LDLIBRARY"),
    "ldversion": sysconfig.get_config_var("LDVERSION"),
    "gil_disabled": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "loaded": loaded(),
    "packages": packages(sys.argv[1:]),
}
# A sitecustomize may have left a line unfinished.
sys.stdout.write("\nrefcow-probe:" + json.dumps(answer) + "\n")
