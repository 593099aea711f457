"""Where the data's large containers are, and the code that puts something else in their place.

A remedy that replaces them returns `told(...)`: text to be pasted, which refcow runs as it is, what it replaces, and
what it leaves.
"""
import ast
import keyword
import re
from collections import Counter, OrderedDict, defaultdict, deque
from copy import copy
from types import FunctionType, MemberDescriptorType

# A container of fewer elements is no data to be replaced.
LEAST = 32
# Members that a container, or an object, may have whose own containers are replaced one by one; how large one of them is,
# if that is to be so of a container that could be replaced itself; and how deep they may be.
FEW = 64
LARGE = 1_000
DEEPEST = 4

# A key of more characters is no name.
LONGEST = 100

NOTHING = "refcow looked {} levels deep and found no list, tuple, dict or set of {} or more elements".format(DEEPEST, LEAST)

PLURALS = (dict, list, tuple, set, int, float)
# Of what their classes add, a visit that reads needs nothing; one that does is found out.
DICTS = (dict, OrderedDict, defaultdict, Counter)
CONTAINERS = (list, tuple, deque, *DICTS, set, frozenset)


class DoesNotApply(Exception):
    """Nothing can be done with this data; says why, unless nobody would ask."""


class Place:
    """A container of the data: what it is, and how the data's owner names it."""

    def __init__(self, value, name):
        self.value, self.name = value, name
        # Of what is more than one column: the names of those that are meant.
        self.parts = []

    def shown(self):
        """`data['rows'] (20,000 dicts)`"""
        if self.parts:
            return "{} ({:,} rows)".format(" and ".join(self.parts), len(self.value))
        elements = getattr(self.value, "flat", self.value)
        kinds = set(map(type, elements))
        kind = kinds.pop() if len(kinds) == 1 else None
        what = "elements" if kind is None else kind.__name__ + ("s" if kind in PLURALS else " objects")
        what = "entries" if type(self.value) in DICTS else what
        return "{} ({:,} {})".format(self.name, len(elements), what)


class Room:
    """Bytes that there are for what takes the data's place: what takes more than all processes do as it is helps nobody."""

    def __init__(self, most):
        self.left, self.taken = most, 0

    def take(self, size):
        self.taken += size
        self.left -= size
        if self.left < 0:
            raise DoesNotApply("more than all processes take as it is")


def is_literal(value):
    """Whether a key can stand in code, and be read there."""
    kind = type(value)
    if kind is int:
        return -(2**64) < value < 2**64
    if kind in (str, bytes):
        return len(value) <= LONGEST
    return kind in (bool, type(None)) or kind is tuple and len(value) <= LONGEST and all(map(is_literal, value))


def is_container(value):
    return type(value) in CONTAINERS and len(value) >= LEAST


def is_named_tuple(kind):
    """Whether `kind._make` makes one of what stands in it. What has the fields of one need not."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and callable(getattr(kind, "_make", None))


def dies_with_noise(kind):
    """Whether objects of a class run code of a program when they are freed."""
    return type(getattr(kind, "__del__", None)) is FunctionType


def slots_of(kind):
    """What gets at the slots of a class's objects."""
    slots = {}
    for one in reversed(kind.__mro__):
        slots.update((name, slot) for name, slot in vars(one).items() if type(slot) is MemberDescriptorType)
    return slots


def attributes(value, slots):
    """What an object has in its __dict__ and in these slots. None of its own methods is asked."""
    found = {}
    for name, slot in slots.items():
        try:
            found[name] = slot.__get__(value)
        except AttributeError:
            pass
    found.update(own_dict(value) or {})
    return found


def own_dict(value):
    """An object's __dict__, if it has one that is nothing else."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return own if type(own) is dict else None


def said(error):
    """What an exception says; it may be of a class that does not."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return "{}: {}".format(type(error).__name__, text) if text else type(error).__name__


def a(kind):
    return ("an " if kind.__name__[0] in "AEIOaeio" else "a ") + kind.__name__


def named(kinds):
    """`int and str`, `int, list and str`, `int, list and 3 more types`"""
    names = sorted(kind.__name__ for kind in kinds)
    if len(names) > 3:
        names[2:] = ["{} more types".format(len(names) - 2)]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def raised_at(error):
    """Whose code raised an exception: that of a class of the program, or refcow's."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    return ", in refcow's own code" if file.startswith("python_fixtures/") else " ({}:{})".format(file, trace.tb_lineno)


def members(value):
    """What a container or an object has, each with what stands before and behind the value's name in the code that gets at it;
    None where that cannot be replaced.
    """
    kind = type(value)
    if kind in DICTS:
        named = {("", "[{!r}]".format(key)): member for key, member in value.items() if is_literal(key)}
    elif kind in (list, tuple) or is_named_tuple(kind) and not attributes(value, {}):
        named = {("", "[{}]".format(place)): member for place, member in enumerate(value)}
    else:
        # A copy of it takes its place, and it is freed.
        if issubclass(kind, type) or dies_with_noise(kind):
            return None
        slots = set_slots(kind)
        try:
            own = attributes(value, slots)
            # What has none is not copied.
            new = copy(value) if own else value
            if new is value or own_dict(value) is own_dict(new) is not None:
                return None
        except BaseException:
            return None
        named = {way_to(kind, name, slots): member for name, member in own.items() if type(name) is str}
        named.pop(None, None)
    return named if len(named) <= FEW else None


def is_name(name):
    return type(name) is str and name.isidentifier() and not keyword.iskeyword(name)


def set_slots(kind):
    """The slots of a class that are written in Python, and can be set."""
    declared = {one for one in kind.__mro__ if "__slots__" in vars(one)}
    return {name: slot for name, slot in slots_of(kind).items() if slot.__objclass__ in declared}


def way_to(kind, name, slots):
    """Around the name of an object: the code for an attribute. Where its class does not let it be set, or hides it, in its __dict__;
    None where it is not there either.
    """
    plain = is_name(name)
    asked = kind.__setattr__ is not object.__setattr__ or kind.__getattribute__ is not object.__getattribute__
    if name in slots:
        return ("", "." + name) if plain and not asked else None
    hidden = any(hasattr(type(vars(one)[name]), "__set__") for one in kind.__mro__ if name in vars(one))
    return ("", "." + name) if plain and not hidden and not asked else ("vars(", ")[{!r}]".format(name))


class Edits:
    """The statements that replace containers, and what is said of each."""

    def __init__(self, replacement, wanted):
        """`replacement(place)`: the lines that put another object in a place, with a word for it; raises DoesNotApply. It is asked
        of what is `wanted`.
        """
        self.replacement, self.wanted = replacement, wanted
        self.lines, self.replaced, self.kept, self.reasons = [], [], [], []
        self.known = {}
        self.numbered = 0

    def replaced_by(self, place):
        try:
            return self.replacement(place)
        except (DoesNotApply, MemoryError):
            raise
        except Exception as error:
            raise DoesNotApply("looking at {} raised {}{}".format(place.name, said(error), raised_at(error))) from None

    def of(self, value, name, depth=0):
        """Replaces what is in a value; whether anything was."""
        if id(value) in self.known:
            earlier = self.known[id(value)]
            if earlier is None:
                return False
            self.lines.append("{} = {}".format(name, earlier))
            return True
        parts = None if depth == DEEPEST else members(value)
        divided = parts and any(is_container(part) and len(part) >= LARGE for part in parts.values())
        if self.wanted(value) and not divided:
            place = Place(value, name)
            self.known[id(value)] = None
            try:
                lines, form = self.replaced_by(place)
            except DoesNotApply as reason:
                if str(reason):
                    self.reasons.append(str(reason))
                    why = str(reason).replace(place.name + " ", "it ").replace(" of " + place.name, "")
                    self.kept.append("{} stays: {}".format(place.shown(), why))
                return False
            self.lines += lines
            self.known[id(value)] = name
            self.replaced.append("{} as {}".format(place.shown(), form))
            return True
        if not parts:
            return False
        self.known[id(value)] = None
        at = len(self.lines)
        changed = [self.of(part, before + name + behind, depth + 1) for (before, behind), part in parts.items()]
        if not any(changed):
            return False
        # Those who hold the old container keep it.
        if issubclass(type(value), tuple):
            self.numbered += 1
            kind = "kind_{}".format(self.numbered)
            make = "tuple({})" if type(value) is tuple else kind + "._make({})"
            if type(value) is not tuple:
                self.lines.insert(at, "{} = type({})".format(kind, name))
                at += 1
            self.lines.insert(at, "{0} = list({0})".format(name))
            self.lines.append("{} = {}".format(name, make.format(name)))
        else:
            self.lines.insert(at, "{0} = _copy({0})".format(name))
        self.known[id(value)] = name
        return True


def blocks(source):
    """The classes and functions of a module's text, by their names, in their order."""
    found = {}
    for text in re.split(r"\n(?=\S)", source):
        name = re.match(r"(?:class|def) (\w+)", text)
        if name:
            found[name.group(1)] = text.rstrip()
    return found


def words(text):
    """The names that code uses."""
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def pasted(source, lines):
    """Text that stands by itself: the lines as a function, and what they need of a module's text. It is pasted below code that
    has names of its own: what is imported here has names that are nobody's.
    """
    there = blocks(source)
    body = "\n".join("    " + line if line else "" for line in lines)
    function = "def before_fork(data):\n{}\n    return data".format(body)
    needed, asked = set(), words(function)
    while asked:
        name = asked.pop()
        if name in there and name not in needed:
            needed.add(name)
            asked |= words(there[name])
    parts = [text for name, text in there.items() if name in needed] + [function]
    used = words("\n".join(parts))
    imports, named = [], {}
    for line in source.splitlines() + ["from copy import copy as _copy"]:
        plain = re.match(r" *import (\w+)$", line)
        of = re.match(r"from ([\w.]+) import (.+)$", line)
        if plain and plain.group(1) in used:
            imports.append(line.strip())
        elif of and not of.group(1).startswith("_refcow"):
            there = {name for name in of.group(2).split(", ") if name.split(" as ")[-1] in used}
            named[of.group(1)] = named.get(of.group(1), set()) | there
    imports += ["from {} import {}".format(module, ", ".join(sorted(names))) for module, names in named.items() if names]
    return "\n\n\n".join(["\n".join(sorted(set(imports), key=imports.index))] + parts).strip() + "\n"


def of_another_type(data):
    """Says which large container is not replaced as it is none of those types itself; nothing if there is none."""
    parts = [(data, "data")]
    parts += [(part, before + "data" + behind) for (before, behind), part in (members(data) or {}).items()]
    for value, name in parts:
        kind = type(value)
        if kind in CONTAINERS:
            continue
        plain = next((one for one in CONTAINERS if issubclass(kind, one)), None)
        if plain and plain.__len__(value) >= LEAST:
            text = "{} is {}, and only plain dicts, lists and the like are replaced, such as {}({})"
            return text.format(name, a(kind), plain.__name__, name)
        if kind.__module__ == "numpy" and getattr(getattr(value, "dtype", None), "hasobject", False):
            return "{0} is a NumPy array of objects; as a list ({0}.tolist()) it could be looked at".format(name)
        if dies_with_noise(kind):
            text = "{} is {}, and no copy of it takes its place: when it was freed for that, its __del__ would run"
            return text.format(name, a(kind))
    return ""


def told(data, replacement, source, otherwise=NOTHING, wanted=is_container):
    """What replaces all that is `wanted` and that `replacement` can. `otherwise`: why there is nothing to do, where it was not even
    asked.
    """
    edits = Edits(replacement, wanted)
    if not edits.of(data, "data"):
        raise DoesNotApply(edits.reasons[0] if edits.reasons else otherwise and (of_another_type(data) or otherwise))
    return {"code": pasted(source, edits.lines), "replaced": edits.replaced, "kept": edits.kept}
