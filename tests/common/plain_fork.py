"""What parent and workers take together, told by os.fork and the kernel's own sums: refcow has no part in it.

plain_fork.py FILE VISIT WORKERS CODE [NAME=VALUE …]: builds the data of FILE, runs CODE (a file; `-` for none) as its own text tells
to, forks, lets each worker visit, and prints {"pss": bytes, "anonymous": bytes, "returned": text} while all of them wait.
"""
import ast
import importlib.util
import json
import os
import sys


def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(path))
    spec.loader.exec_module(module)
    return module


def literal(text):
    try:
        return ast.literal_eval(text)
    except ValueError:
        return text


def sums(pid):
    with open("/proc/{}/smaps_rollup".format(pid)) as rollup:
        fields = dict(line.split(":", 1) for line in rollup if ":" in line.split()[0])
    return [int(fields[name].split()[0]) << 10 for name in ("Pss", "Pss_Anon", "Pss_Shmem")]


def main(path, visit, workers, code, *settings):
    module = load(path)
    settings = dict(setting.split("=", 1) for setting in settings)
    # As if it were pasted below the file's own text.
    names = vars(module)
    if code != "-":
        with open(code) as text:
            exec(compile(text.read(), code, "exec"), names)
    data = module.build(**{name: literal(value) for name, value in settings.items()})
    if "before_fork" in names:
        data = names["before_fork"](data)
    end_worker = names.get("end_worker")
    said, go = os.pipe(), os.pipe()
    pids = []
    for _ in range(int(workers)):
        pid = os.fork()
        if pid == 0:
            # Who raises has nobody waiting for a line that does not come.
            sys.excepthook = lambda *error: (sys.__excepthook__(*error), os.write(said[1], b"raised\n"), os._exit(1))
            returned = getattr(module, "visit_" + visit)(data) if visit != "exit" else None
            if visit == "exit" and end_worker:
                os.write(said[1], b"\n")
                os.read(go[0], 1)
                end_worker()
            os.write(said[1], (str(returned)[:100] + "\n").encode())
            os.read(go[0], 1)
            os._exit(0)
        pids.append(pid)
        # One after the other.
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(said[0], 1)
        if line == b"raised\n":
            sys.exit(1)
    all_sums = [sums(pid) for pid in [os.getpid()] + pids]
    os.write(go[1], b"." * len(pids))
    for pid in pids:
        os.waitpid(pid, 0)
    pss, anonymous, shared = map(sum, zip(*all_sums))
    print(json.dumps({"pss": pss, "anonymous": anonymous + shared, "returned": line.decode().strip()}))


main(*sys.argv[1:])
