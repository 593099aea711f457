//! What "gives back what was put in" means: which values are alike, and which are told as others.

use rstest::rstest;

use crate::common::ways_python::{differences, lines};
use crate::common::{by_python, python};

/// Classes whose objects are compared.
const CLASSES: &str = "
import collections, copy, datetime, decimal, enum, pickle, threading
from collections import OrderedDict, defaultdict, deque
class Plain:
    def __init__(self, **given): self.__dict__.update(given)
class Slotted:
    __slots__ = ('number', '_Slotted__secret', '__dict__')
    def __init__(self, number, secret): self.number, self._Slotted__secret = number, secret
class Named(dict): pass
class Equal:
    def __init__(self, number): self.number = number
    def __eq__(self, other): return True
class Raises:
    def __eq__(self, other): raise OSError
    def __repr__(self): raise OSError
class Colour(enum.Enum): RED = 1; BLUE = 2
class Text(str): pass
class Stored:
    __slots__ = ('number',)
    def __init__(self, number): self.number = number
    def __reduce__(self): return Stored, (self.number,)
def made(kind, *elements, **attributes):
    value = kind(*elements)
    value.__dict__.update(attributes)
    return value
def recursive(last):
    value = [1]
    value.append(value)
    value.append(last)
    return value
def day(hour):
    return datetime.datetime(2020, 1, 1, hour, tzinfo=datetime.timezone(datetime.timedelta(hours=hour)))
nan = float('nan')
";

/// A value, what became of it, and what is said of that.
const PAIRS: &str = r"
float('nan') | float('nan') | None
[1, float('nan')] | [1, float('nan')] | None
{float('nan')} | {float('nan')} | None
{float('nan'): 1} | {float('nan'): 2} | data[nan] is 2, and was 1
0.0 | -0.0 | data is -0.0, and was 0.0
complex(0, 0.0) | complex(0, -0.0) | data is -0j, and was 0j
[True] | [1] | data[0] is of the type int, and was of bool
1 << 70 | 1 << 70 | None
1 << 70 | 1 << 71 | data is 2361183241434822606848, and was 1180591620717411303424
['a\0'] | ['a'] | data[0] is 'a', and was 'a\x00'
'x' * 100 | 'x' * 99 | data has other content
Text('a') | Text('a') | None
made(Text, 'a', origin=1) | Text('a') | data.origin is missing
Text('a') | 'a' | data is of the type str, and was of __main__.Text
made(Named, {1: 2}, origin=1) | made(Named, {1: 2}, origin=2) | data.origin is 2, and was 1
OrderedDict(a=1, b=2) | OrderedDict(b=2, a=1) | key 0 of data is 'b', and was 'a'
defaultdict(list, {1: [2]}) | {1: [2]} | data is of the type dict, and was of collections.defaultdict
[[1], [2]] | [[1], [2, 3]] | data[1] has 2 elements, and had 1
{1, 2} | {1, 3} | data has other elements
{Plain(a=nan)} | {Plain(a=float('nan'))} | None
recursive(3) | recursive(3) | None
recursive(3) | recursive(4) | data[2] is 4, and was 3
Colour.RED | pickle.loads(pickle.dumps(Colour.RED)) | None
[Colour.RED] | [Colour.BLUE] | data[0] is <Colour.BLUE: 2>, and was <Colour.RED: 1>
day(1) | copy.deepcopy(day(1)) | None
{'at': day(1)} | {'at': day(2)} | data['at'] is datetime.datetime(2020, 1, 1, 2, 0, t…, and was datetime.datetime(2020, 1, 1, 1, 0, t…
decimal.Decimal('1.0') | decimal.Decimal('1.0') | None
decimal.Decimal('1.0') | decimal.Decimal('1.00') | data is Decimal('1.00'), and was Decimal('1.0')
deque(['a', nan]) | deque(['a', float('nan')]) | None
deque([1], 3) | deque([1], 4) | data is deque([1], maxlen=4), and was deque([1], maxlen=3)
Plain(a=[1]) | Plain(a=[1]) | None
Plain(a=1) | Plain() | data.a is missing
Plain() | Plain(a=1) | data.a was not there
Slotted(1, 2) | Slotted(1, 3) | data._Slotted__secret is 3, and was 2
Equal(1) | Equal(2) | None
[Raises()] | [Raises()] | None
Stored(1) | Stored(1) | None
Stored(1) | Stored(2) | data.number is 2, and was 1
object() | object() | None
Plain(lock=threading.Lock()) | Plain(lock=threading.Lock()) | unknown: data.lock cannot be compared (cannot pickle '_thread.lock' object)
Plain(lock=threading.Lock(), a=1) | Plain(lock=threading.Lock(), a=2) | data.a is 2, and was 1
";

#[rstest]
fn values_are_alike_if_python_can_tell_no_difference(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "which values are alike", |interpreter| {
        differences(by_python::path(interpreter), CLASSES, PAIRS);
    });
}

/// Classes that say themselves what is pickled.
const PICKLED: &str = "
from _data_survey import again, survey
import os, tempfile
class Drops:
    def __init__(self): self.name, self.cache = 'a', {}
    def __getstate__(self): return {'name': self.name}
class Refuses(Exception):
    def __init__(self, one, other): super().__init__(one)
class ndarray:
    def __init__(self, kind='O'): self.dtype = type('StringDType', (), {'hasobject': True, 'kind': kind})()
    def __reduce__(self): return list, ()
class recarray(ndarray): pass
# As NumPy's are named, which need not be there.
ndarray.__module__ = 'numpy'
def of(data):
    with tempfile.TemporaryDirectory() as folder:
        found = survey(data, os.path.join(folder, 'original'), ['json', 'no_such_package'], True)
    del found['packages'], found['methods'], found['default'], found['pickled_bytes']
    print(sorted((name, value) for name, value in found.items() if value not in (0, None, False)))
";

#[test]
fn what_pickling_itself_makes_another_is_found_before_any_way_is_measured() {
    let asked = "of([Drops()])\nof([Refuses(1, 2)])\nof([1])\nof({'a': [1]})\nof([])\nof(range(3))\nof([ndarray(), recarray(), ndarray('T')])\n";
    let found = lines(python(), &format!("{PICKLED}{asked}"));
    assert_eq!(
        found[0],
        "[('cuttable', True), ('kind', 'list'), ('lost', 'data[0].cache is missing'), ('plain', True)]"
    );
    assert!(
        found[1].contains("('not_unpicklable', \"TypeError: "),
        "{}",
        found[1]
    );
    assert_eq!(
        found[2..6],
        [
            "[('cuttable', True), ('flat', True), ('kind', 'list'), ('plain', True)]",
            "[('kind', 'dict'), ('plain', True)]",
            "[('cuttable', True), ('flat', True), ('kind', 'list'), ('plain', True)]",
            "[('cuttable', True), ('kind', 'range')]",
        ]
    );
    let others =
        "('other_arrays', 'Python objects and the subclass recarray and the type StringDType')";
    assert!(found[6].contains(others), "{}", found[6]);
}

#[test]
fn too_many_objects_that_refer_to_one_another_are_the_fault_of_none_of_them() {
    let deep = "from _values import survey\n\
                class Person: pass\n\
                people = [Person() for _ in range(5_000)]\n\
                for number, one in enumerate(people): one.friend = people[number - 1]\n\
                print(survey(people)['not_picklable'])\n";
    let found = lines(python(), deep);
    assert!(found[0].starts_with("data ("), "{found:?}");
}

/// Whether each of these is refused as a ShareableList, and no segment is left of it.
const SHAREABLE: &str = "
import _data_prepare, _parent
def of(data):
    try:
        made = _data_prepare.shareable(data)
    except _parent.NotPossible as error:
        print(error)
    else:
        print(list(made))
        made.shm.close()
        made.shm.unlink()
    left = [one for one in os.listdir('/dev/shm') if one.startswith(os.environ['REFCOW_SUBJECT'])]
    assert not left, left
";

#[test]
fn what_a_shareable_list_cannot_hold_is_refused_and_leaves_no_segment() {
    let asked = "of([1, 'a', None, 2.5, True, b'b'])\nof([1 << 70])\nof(['\\ud800'])\nof(['aéaéaéa'])\n\
                 os.statvfs = lambda path: type('Full', (), {'f_bavail': 1, 'f_frsize': 4096})\n\
                 of(list(range(1000)))\n";
    let found = lines(python(), &format!("{SHAREABLE}{asked}"));
    assert_eq!(found[0], "[1, 'a', None, 2.5, True, b'b']");
    for (refused, why) in
        found[1..4]
            .iter()
            .zip(["", "surrogates not allowed", "codec can't decode"])
    {
        let is_one = refused.starts_with("a ShareableList ") && refused.contains(why);
        assert!(is_one, "{refused}");
    }
    assert_eq!(
        found[4],
        "it needs 25 KiB in /dev/shm, and 4 KiB are free there"
    );
}

#[test]
fn parts_are_of_one_size_but_for_one_element() {
    let found = lines(
        python(),
        "from _parent import cut\nprint(cut(list(range(5)), 4), cut('ab', 2), cut([], 1), cut([1], 2))\n",
    );
    assert_eq!(found, ["[[0], [1], [2], [3, 4]] ['a', 'b'] [[]] [[], [1]]"]);
}
