"""What parent and workers take together, told by os.fork and the kernel's own sums: refcow has no part in it.

plain_fork.py FILE VISIT WORKERS CODE [NAME=VALUE …]: builds the data of FILE, runs CODE (a file; `-` for none) as its own text tells
to, forks, lets each worker visit, and prints {"pss": bytes, "anonymous": bytes, "returned": text} while all of them wait.
"""
import os
import sys

# Nothing else is imported: a program that only forks has none of it, and modules take memory of each process.


def load(path):
    """The file as a module, as refcow makes one of it."""
    name = os.path.basename(path)[:-3]
    module = sys.modules[name] = type(sys)(name)
    module.__file__ = path
    sys.path.insert(0, os.path.dirname(path))
    with open(path) as file:
        exec(compile(file.read(), path, "exec"), vars(module))
    return module


def literal(text):
    try:
        return eval(text, {"__builtins__": {}})
    except NameError:
        return text


def work(path, visit, workers, code, *settings):
    """The program: says on standard output which processes there are, and ends when its standard input does."""
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
    pids = [os.getpid()]
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
    os.write(1, " ".join(map(str, pids)).encode() + b" " + line)
    os.read(0, 1)
    os.write(go[1], b"." * len(pids))
    for pid in pids[1:]:
        os.waitpid(pid, 0)


def sums(pid):
    with open("/proc/{}/smaps_rollup".format(pid)) as rollup:
        fields = dict(line.split(":", 1) for line in rollup if ":" in line.split()[0])
    return [int(fields[name].split()[0]) << 10 for name in ("Pss", "Pss_Anon", "Pss_Shmem")]


def look(words):
    """Starts the program anew and looks at it from here: whoever reads and adds up writes to pages of its own."""
    said, go = os.pipe(), os.pipe()
    program = os.fork()
    if program == 0:
        os.dup2(go[0], 0)
        os.dup2(said[1], 1)
        os.closerange(3, 64)
        os.execv(sys.executable, [sys.executable, __file__, "--work"] + words)
    os.close(said[1])
    with open(said[0]) as pipe:
        line = pipe.readline()
        if not line:
            sys.exit(1)
        workers = int(words[2])
        pids, returned = line.split()[: workers + 1], " ".join(line.split()[workers + 1 :])
        pss, anonymous, shared = map(sum, zip(*map(sums, pids)))
    os.close(go[1])
    os.waitpid(program, 0)
    returned = returned.replace('"', "'")
    print('{{"pss": {}, "anonymous": {}, "returned": "{}"}}'.format(pss, anonymous + shared, returned))


if sys.argv[1] == "--work":
    work(*sys.argv[2:])
else:
    look(sys.argv[1:])
