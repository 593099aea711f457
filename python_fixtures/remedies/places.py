"""Where the data's large containers are, and the code that puts something else in their place.

A remedy that replaces them returns `told(...)`: text to be pasted, which refcow runs as it is, what it replaces, and
what it leaves.
"""
import ast
import keyword
import re
from collections import deque
from copy import copy

# A container of fewer elements is no data to be replaced.
LEAST = 32
# Members that a container, or an object, may have whose own containers are replaced one by one; how large one of them is,
# if that is to be so of a container that could be replaced itself; and how deep they may be.
FEW = 64
LARGE = 1_000
DEEPEST = 4

PLURALS = (dict, list, tuple, set, int, float)
CONTAINERS = (list, tuple, deque, dict, set, frozenset)


class DoesNotApply(Exception):
    """Nothing can be done with this data; says why, unless nobody would ask."""


class Place:
    """A container of the data: what it is, and how the data's owner names it."""

    def __init__(self, value, name):
        self.value, self.name = value, name

    def shown(self):
        """`data['rows'] (20,000 dicts)`"""
        kinds = set(map(type, self.value))
        kind = kinds.pop() if len(kinds) == 1 else None
        what = "elements" if kind is None else kind.__name__ + ("s" if kind in PLURALS else " objects")
        what = "entries" if type(self.value) is dict else what
        return "{} ({:,} {})".format(self.name, len(self.value), what)


def is_literal(value):
    return type(value) in (str, int, bytes, bool, type(None)) or type(value) is tuple and all(map(is_literal, value))


def is_container(value):
    return type(value) in CONTAINERS and len(value) >= LEAST


def members(value):
    """What a container or an object has, each with the text that gets at it; None where that cannot be replaced."""
    kind = type(value)
    if kind is dict:
        named = {"[{!r}]".format(key): member for key, member in value.items() if is_literal(key)}
    elif kind in (list, tuple) or isinstance(value, tuple) and hasattr(kind, "_fields"):
        named = {"[{}]".format(place): member for place, member in enumerate(value)}
    else:
        # Attributes, but for what hides them.
        try:
            named = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return None
        if type(named) is not dict or isinstance(value, type):
            return None
        try:
            copy(value)
        except Exception:
            return None
        valid = lambda name: name.isidentifier() and not keyword.iskeyword(name)
        named = {"." + name: member for name, member in named.items() if valid(name)}
    return named if len(named) <= FEW else None


class Edits:
    """The statements that replace containers, and what is said of each."""

    def __init__(self, replacement):
        """`replacement(place)`: the lines that put another object in a place, with a word for it; raises DoesNotApply."""
        self.replacement = replacement
        self.lines, self.replaced, self.kept, self.reasons = [], [], [], []
        self.known = {}
        self.numbered = 0

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
        if is_container(value) and not divided:
            place = Place(value, name)
            self.known[id(value)] = None
            try:
                lines, form = self.replacement(place)
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
        changed = [self.of(part, name + step, depth + 1) for step, part in parts.items()]
        if not any(changed):
            return False
        # Those who hold the old container keep it.
        if isinstance(value, tuple):
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
    imports = []
    for line in source.splitlines() + ["from copy import copy as _copy"]:
        plain = re.match(r" *import (\w+)$", line)
        named = re.match(r"from ([\w.]+) import (.+)$", line)
        if plain and plain.group(1) in used:
            imports.append(line.strip())
        elif named and not named.group(1).startswith("_refcow"):
            names = [name for name in named.group(2).split(", ") if name.split(" as ")[-1] in used]
            if names:
                imports.append("from {} import {}".format(named.group(1), ", ".join(names)))
    return "\n\n\n".join(["\n".join(sorted(set(imports), key=imports.index))] + parts).strip() + "\n"


def of_another_type(data):
    """Says which large container is not replaced as it is none of those types itself; nothing if there is none."""
    for value, name in [(data, "data")] + [(part, "data" + step) for step, part in (members(data) or {}).items()]:
        kind = next((kind for kind in CONTAINERS if isinstance(value, kind)), None)
        if kind and type(value) not in CONTAINERS and len(value) >= LEAST:
            text = "{} is a {}, and of dicts, lists and the like only plain ones are replaced: {}({})"
            return text.format(name, type(value).__name__, kind.__name__, name)
    return ""


def told(data, replacement, source, otherwise="there is no list, tuple, dict or set of {} or more elements in it".format(LEAST)):
    """What replaces all that `replacement` can. `otherwise`: why there is nothing to do, where it was not even asked."""
    edits = Edits(replacement)
    if not edits.of(data, "data"):
        raise DoesNotApply(edits.reasons[0] if edits.reasons else of_another_type(data) or otherwise)
    return {"code": pasted(source, edits.lines), "replaced": edits.replaced, "kept": edits.kept}
