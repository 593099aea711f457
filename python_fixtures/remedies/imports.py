"""Modules that a visit imports, imported before the fork."""
import importlib
import sys
from _refcow_places import DoesNotApply


def code(data, modules):
    """Of these modules those that bring the others with them. Imports them: for a process that ends with this."""
    first = []
    # In sys.modules a module comes behind those that it imports.
    for name in reversed(modules):
        if name in sys.modules:
            continue
        try:
            importlib.import_module(name)
        except Exception:
            # What a visit puts into sys.modules itself, or makes on its way.
            continue
        first.append(name)
    first = [name for name in sorted(first) if not any(other.startswith(name + ".") for other in first)]
    if not first:
        raise DoesNotApply("none of the modules that it imports can be imported by its name")
    lines = "".join("import {}\n".format(name) for name in first)
    text = "{}\n\ndef before_fork(data):\n    return data  # the imports above are all that it takes\n".format(lines)
    return {"code": text, "replaced": [], "kept": []}
