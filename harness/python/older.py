# What this interpreter has of shared memory. Any Python 3 runs it. One line of JSON behind a mark.
import json
import sys


def has(module, name=None):
    try:
        __import__(module)
        if name is not None:
            getattr(sys.modules[module], name)("b", 1)
        return True
    except Exception:  # whatever is the matter, it cannot be used
        return False


answer = {
    "series": sys.version_info[:2],
    "version": sys.version.split()[0],
    "shared_memory": has("multiprocessing.shared_memory"),
    "raw_array": has("multiprocessing", "RawArray"),
}
sys.stdout.write("\nrefcow-older:" + json.dumps(answer) + "\n")
