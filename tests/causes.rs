//! Causes against known truth: a writer that touches exactly one kind of thing, and refcow names
//! it, page by page.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use nix::unistd::geteuid;
use refcow::model::{Cause, Child, RegionName, Run, Warning, Written};
use rstest::rstest;

use crate::common::by_python::assert_snapshot_of;
use crate::common::{Place, by_python, run};

const WRITERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/writers.py");
/// Things that the writers write to.
const COUNT: u64 = 40;

/// A file of the user's own, measured by one child.
fn measured(file: &str, visits: &[&str], more: &[&str]) -> Run {
    let mut arguments = vec![file, "--children", "1"];
    for visit in visits {
        arguments.extend(["--visit", visit]);
    }
    arguments.extend(more);
    run::measure(&arguments)
}

fn child<'a>(run: &'a Run, visit: &str) -> &'a Child {
    let mut all = run.measurements.iter();
    &all.find(|one| one.visit == visit).unwrap().children[0]
}

/// Pages of a region and cause, of one type.
fn pages(child: &Child, region: RegionName, cause: Cause, of_type: Option<&str>) -> u64 {
    let wanted = |written: &&Written| {
        written.region == region
            && written.cause == cause
            && (of_type.is_none() || written.of_type.as_deref() == of_type)
    };
    child
        .written
        .iter()
        .filter(wanted)
        .map(|written| written.pages)
        .sum()
}

/// What every report must keep to, whatever was written.
fn adds_up(child: &Child) {
    for region in &child.regions {
        let causes = region.causes.unwrap();
        assert_eq!(causes.sum(), region.unshared, "{region:?}");
        let written = child.written.iter().filter(|one| one.region == region.name);
        assert_eq!(written.map(|one| one.pages).sum::<u64>(), region.unshared);
    }
    assert_eq!(child.lost_faults, 0);
}

#[rstest]
fn a_writer_that_touches_one_thing_is_named_page_by_page(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    if crate::common::cannot_record("a_writer_that_touches_one_thing_is_named_page_by_page") {
        return;
    }
    use Cause::{Allocator, Body, Buffer, Gc, Refcount, Unattributed};
    use RegionName::{Header, Rest};
    by_python::each_build(series, "writers", |interpreter| {
        let visits = [
            ("refcount", Header, Refcount, Some("bytes")),
            ("gc", Header, Gc, Some("tuple")),
            ("body", Header, Body, Some("tuple")),
            ("payload", RegionName::Payload, Buffer, Some("bytearray")),
            ("block", Rest, Allocator, None),
            ("pool", Rest, Allocator, None),
            ("unknown", RegionName::Native, Unattributed, None),
            ("threads", Header, Refcount, Some("bytes")),
        ];
        let names: Vec<_> = visits.iter().map(|(name, ..)| *name).collect();
        let more = ["--python", by_python::path(interpreter)];
        let run = measured(WRITERS, &[&names[..], &["kernel", "mix"]].concat(), &more);
        for (visit, region, cause, of_type) in visits {
            let child = child(&run, visit);
            adds_up(child);
            // The same function wrote all of them, and nothing but what was there.
            let same = child.written.iter().find(|written| {
                // What is no data has global variables of the fixture's around it, or nothing.
                let there = match region {
                    Rest => !written.region.is_data(),
                    _ => written.region == region,
                };
                (there, written.cause) == (true, cause)
                    && written.of_type.as_deref() == of_type
                    && written.pages == COUNT
            });
            let same = same.unwrap_or_else(|| panic!("{visit}: {:#?}", child.written));
            assert_eq!(same.identical, Some(COUNT), "{visit}");
            let function = same.function.as_deref().unwrap();
            assert!(
                function == "B_set" || function.starts_with("_ctypes"),
                "{visit}: {function}"
            );
        }
        // readv(2) filled each buffer: its four or five pages have a copy, and the program had no
        // fault.
        let kernel = child(&run, "kernel");
        adds_up(kernel);
        let filled = pages(kernel, RegionName::Payload, Cause::Kernel, None);
        assert!((3 * COUNT..=5 * COUNT).contains(&filled), "{filled}");
        let payload = kernel.region(RegionName::Payload).unwrap();
        assert_eq!(payload.causes.unwrap().buffer, 0, "{payload:?}");
        let by_kernel = kernel.written.iter().find(|one| one.cause == Cause::Kernel);
        assert_eq!(by_kernel.unwrap().function, None);

        let mix = child(&run, "mix");
        adds_up(mix);
        for (region, cause, of_type) in [
            (Header, Refcount, "bytes"),
            (Header, Gc, "tuple"),
            (Header, Body, "tuple"),
            (RegionName::Payload, Buffer, "bytearray"),
        ] {
            assert_eq!(pages(mix, region, cause, Some(of_type)), COUNT, "{cause:?}");
        }
    });
}

#[rstest]
fn iterating_writes_reference_counts_and_collecting_gc_headers(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    if crate::common::cannot_record("iterating_writes_reference_counts_and_collecting_gc_headers") {
        return;
    }
    by_python::each_build(series, "iterate and collect", |interpreter| {
        let run = run::measure(&[
            "ints",
            "lists",
            "--count",
            "20000",
            "--children",
            "1",
            "--visit",
            "iterate",
            "--visit",
            "index",
            "--visit",
            "collect",
            "--python",
            by_python::path(interpreter),
        ]);
        let of = |fixture, visit| &run::visit(&run, fixture, visit).children[0];
        let header = |fixture, visit| of(fixture, visit).region(RegionName::Header).unwrap();

        let iterated = header("ints", "iterate");
        assert_eq!(iterated.causes.unwrap().refcount, iterated.pages);
        // The element's, which goes up and down again: a count that stays changed is another int's,
        // of the interpreter's own.
        let indexed = of("ints", "index").written.iter();
        let elements: Vec<_> = indexed
            .filter(|row| row.region == RegionName::Header && row.cause == Cause::Refcount)
            .filter(|row| row.of_type.as_deref() == Some("int") && row.identical == Some(row.pages))
            .map(|row| row.pages)
            .collect();
        assert_eq!(elements, [1]);
        let lists = pages(
            of("lists", "collect"),
            RegionName::Header,
            Cause::Gc,
            Some("list"),
        );
        let all = header("lists", "iterate").unshared;
        assert!(lists + 3 >= all && lists > 200, "{lists} of {all}");
        for measurement in &run.measurements {
            adds_up(&measurement.children[0]);
        }
    });
}

const CUTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cuts.py");

/// The groups of `--by`, with what is of a whole lot of objects alone: to the nearest hundred
/// pages, as a few of them have neighbours that were written before, and without shares, which are
/// of the interpreter's own pages too.
fn cut(by: &str, python: &str) -> String {
    let printed = run::stdout(&[
        "measure",
        CUTS,
        "--by",
        by,
        "--children",
        "1",
        "--format",
        "csv",
        "--python",
        python,
    ]);
    let mut table = csv::Reader::from_reader(printed.as_bytes());
    let mut pages: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for row in table.deserialize() {
        let row: BTreeMap<String, String> = row.unwrap();
        let of_name = pages.entry(row["key"].clone()).or_default();
        let unshared: u64 = row["unshared"].parse().unwrap();
        of_name.insert(row["visit"].clone(), (unshared + 50) / 100 * 100);
    }
    let mut kept = Vec::new();
    for (name, visits) in pages {
        let of = |visit: &str| visits.get(visit).copied().unwrap_or(0);
        let (all, collect) = (of("all"), of("collect"));
        // What a collection looks at besides is another matter in each version, but for the field
        // that it writes.
        if all > 0 || by == "cause" && collect > 0 {
            let collect = match (by, collect) {
                ("cause", 1..) => ", collect many",
                ("cause", _) => ", collect few",
                _ => "",
            };
            kept.push(format!("{name}: all {all}{collect}\n"));
        }
    }
    // Rows of as many pages are in the order of a few pages more.
    kept.sort();
    format!("by {by}\n{}", kept.concat())
}

#[rstest]
fn the_same_pages_are_cut_by_what_was_written_and_what_wrote(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    if crate::common::cannot_record("the_same_pages_are_cut_by_what_was_written_and_what_wrote") {
        return;
    }
    by_python::each_build(series, "cuts", |interpreter| {
        let python = by_python::path(interpreter);
        let cuts = ["type", "region", "cause", "line"].map(|by| cut(by, python));
        let version = by_python::version(interpreter);
        assert_snapshot_of!(version, "cuts", cuts.join("\n"));
        // What was stripped of its symbols, a library or the program, has no names.
        let functions = cut("function", python);
        if !functions.contains("python3.") {
            assert_snapshot_of!(version, "cuts_function", functions);
        }
    });
}

#[test]
fn pages_are_the_same_with_causes_and_without() {
    let arguments = [
        "three_lists",
        "dicts",
        "--count",
        "2000",
        "--item-bytes",
        "512",
    ];
    let visits = [
        "--visit", "iterate", "--visit", "collect", "--visit", "pickle",
    ];
    let regions = |more: &[&str]| -> Vec<_> {
        let run = run::measure(&[&arguments[..], &visits, more].concat());
        let children = run.measurements.into_iter().flat_map(|one| one.children);
        let regions = children.flat_map(|child| child.regions);
        regions
            .map(|region| (region.name, region.pages, region.unshared, region.identical))
            .collect()
    };
    assert_eq!(regions(&[]), regions(&["--no-causes"]));
}

#[test]
fn without_causes_nothing_is_said_of_them() {
    let run = run::measure(&[
        "ints",
        "--count",
        "1000",
        "--visit",
        "iterate",
        "--no-causes",
    ]);
    let child = &run.measurements[0].children[0];
    assert!(child.written.is_empty());
    assert!(child.regions.iter().all(|region| region.causes.is_none()));
    assert!(run.warnings.is_empty(), "{:?}", run.warnings);
}

#[test]
fn an_ordinary_user_gets_the_causes_that_root_gets() {
    if crate::common::cannot_record("an_ordinary_user_gets_the_causes_that_root_gets") {
        return;
    }
    if !geteuid().is_root() {
        eprintln!("skipped: only root can run refcow as two users");
        return;
    }
    let (_folder, program) = run::public_copies();
    let report = |user: Option<u32>| -> Run {
        let mut command = Command::new(&program);
        command.args(["measure", "strings", "--count", "20000", "--format", "json"]);
        command.args(["--visit", "iterate", "--python", "/usr/bin/python3"]);
        if let Some(user) = user {
            command.uid(user).gid(user).current_dir("/");
        }
        let output = run::output(&mut command);
        run::the_run(&run::succeeded(&format!("{command:?}"), output))
    };
    const NOBODY: u32 = 65_534;
    let header = |run: &Run| {
        let child = &run.measurements[0].children[0];
        child.region(RegionName::Header).unwrap().causes
    };
    assert!(header(&report(None)).unwrap().refcount > 300);
    assert_eq!(header(&report(None)), header(&report(Some(NOBODY))));
}

/// What a file of the user's own is measured as.
fn of_source(source: &str, visit: &str) -> Run {
    let place = Place::new();
    let file = place.path("mine.py");
    std::fs::write(&file, source).unwrap();
    measured(file.to_str().unwrap(), &[visit], &[])
}

/// Holes of many sizes in glibc's heap: whatever the mapper allocates there, of its own or of
/// Python's, lies in one of them.
const HOLES: &str = r#"
import ctypes

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.free.argtypes = (ctypes.c_void_p,)
PAGE = 4096
# Larger than what a thread's cache takes, smaller than what is a mapping of its own.
SIZES = [bytes for bytes in range(1104, 100_000, 1104) for twice in range(2)]


def build():
    pages = set()
    free = []
    for size in SIZES:
        free.append(libc.malloc(size))
        # A page that was never touched is not there to be shared.
        ctypes.memset(free[-1], 1, size)
        # Keeps neighbours from becoming one.
        libc.malloc(64)
    for start, size in zip(free, SIZES):
        # Behind what the list of free chunks keeps in them, and not on their last page, which has the next one's head.
        pages.update(range(start + 64 + PAGE - (start + 64) % PAGE, start + size - PAGE, PAGE))
    pages = sorted(pages)
    for start in free:
        libc.free(start)
    return pages


def visit_fill(data):
    for page in data:
        # What is there: Python may have put something of its own into a hole.
        ctypes.memmove(page + 2048, page + 2048, 1)
"#;

#[test]
fn what_is_free_in_the_parent_is_not_the_mappers_own() {
    if crate::common::cannot_record("what_is_free_in_the_parent_is_not_the_mappers_own") {
        return;
    }
    let run = of_source(HOLES, "fill");
    let child = child(&run, "fill");
    adds_up(child);
    // Nothing else writes to so many pages.
    let filler = &child.written[0].function;
    let filled = || child.written.iter().filter(|one| one.function == *filler);
    assert!(filled().map(|one| one.pages).sum::<u64>() > 500);
    for written in filled() {
        assert_eq!(written.cause, Cause::Allocator, "{:#?}", child.written);
    }
}

#[test]
fn data_with_cycles_is_walked_once() {
    if crate::common::cannot_record("data_with_cycles_is_walked_once") {
        return;
    }
    let run = of_source(
        "def build(count=1000, item_bytes=8):\n    \
             all = [{} for _ in range(count)]\n    \
             for index, one in enumerate(all):\n        \
                 one['next'] = all[index - 1]\n        \
                 one['self'] = one\n    \
             all.append(all)\n    \
             return all\n\n\
         def visit_walk(data):\n    \
             one = data[0]\n    \
             for _ in range(len(data)):\n        \
                 one = one['next']\n",
        "walk",
    );
    let child = &run.measurements[0].children[0];
    adds_up(child);
    let header = child.region(RegionName::Header).unwrap();
    let dicts = pages(child, RegionName::Header, Cause::Refcount, Some("dict"));
    // The list itself and the two keys may stand on pages of their own.
    assert!(dicts + 3 >= header.pages, "{dicts} of {header:?}");
    assert!(child.region(RegionName::Spine).unwrap().pages > 20);
}

#[test]
fn a_list_200_000_deep_is_walked_to_its_end() {
    if crate::common::cannot_record("a_list_200_000_deep_is_walked_to_its_end") {
        return;
    }
    let run = of_source(
        "def build(count=200_000, item_bytes=8):\n    \
             data = []\n    \
             for _ in range(count):\n        data = [data]\n    \
             return data\n\n\
         def visit_descend(data):\n    \
             while data:\n        data = data[0]\n",
        "descend",
    );
    let child = &run.measurements[0].children[0];
    let header = child.region(RegionName::Header).unwrap();
    assert!(header.pages > 3_000, "{header:?}");
    assert_eq!(header.causes.unwrap().refcount, header.unshared);
    assert_eq!(header.unshared, header.pages);
}

#[test]
fn objects_with_a_destructor_are_not_destroyed_by_being_walked() {
    if crate::common::cannot_record("objects_with_a_destructor_are_not_destroyed_by_being_walked") {
        return;
    }
    let run = of_source(
        "class Loud:\n    \
             def __init__(self):\n        self.text = 'x' * 100\n    \
             def __del__(self):\n        raise RuntimeError('nobody asked for this')\n\n\
         def build(count=2000, item_bytes=8):\n    return [Loud() for _ in range(count)]\n\n\
         def visit_iterate(data):\n    \
             for one in data:\n        pass\n",
        "iterate",
    );
    let child = &run.measurements[0].children[0];
    assert!(
        pages(
            child,
            RegionName::Header,
            Cause::Refcount,
            Some("mine.Loud")
        ) > 20
    );
}

/// The loader may put a library where memory of the parent's was that the child has given back.
/// Modules that are extensions of their own in one build or the other.
#[test]
fn a_visit_that_loads_libraries_is_measured() {
    if crate::common::cannot_record("a_visit_that_loads_libraries_is_measured") {
        return;
    }
    let run = of_source(
        "def build(count=1000):\n    return [[] for _ in range(count)]\n\n\
         def visit_load(data):\n    \
             import asyncio, ctypes, decimal, multiprocessing.pool, sqlite3, unittest.mock, xml.dom.minidom\n",
        "load",
    );
    adds_up(&run.measurements[0].children[0]);
}

/// Data on which a walk could hang, crash, take other memory for the data's, or run code of the
/// user's.
#[rstest]
#[case::generators("[(lambda: (yield))() for _ in range(count)]", 1..60)]
#[case::started_generators("list(map(started, range(count)))", 1..120)]
#[case::tracebacks("[failed() for _ in range(count)]", 1..400)]
#[case::mocks("[__import__('unittest.mock').mock.MagicMock() for _ in range(3)]", 1..4_000)]
#[case::sizes_of_ones_own("[Sized() for _ in range(count)]", 1..60)]
#[case::metaclasses("[Meta('M', (), {})() for _ in range(count)]", 1..600)]
#[case::ints_with_attributes("[Int(index) for index in range(count)]", 1..100)]
fn odd_objects_are_walked_and_no_code_of_theirs_runs(
    #[case] data: &str,
    #[case] pages: std::ops::Range<u64>,
) {
    let source = format!(
        "\
class Size:
    def __get__(self, *arguments):
        raise SystemExit('a descriptor was asked')

    def __call__(self, *arguments):
        raise SystemExit('a size was asked')

class Sized:
    __sizeof__ = Size()

class Meta(type):
    def __getattribute__(self, name):
        if name in ('__module__', '__qualname__', '__sizeof__', '__buffer__'):
            raise SystemExit(name)
        return type.__getattribute__(self, name)

class Int(int):
    def __init__(self, value):
        self.value = value

def started(index):
    def generate():
        yield index
        yield index
    one = generate()
    next(one)
    return one

def fail(depth):
    return fail(depth - 1) if depth else 1 / 0

def failed():
    try:
        fail(3)
    except ZeroDivisionError as error:
        return error

def build(count=300):
    return {data}

def visit_nothing(data):
    pass
"
    );
    let run = of_source(&source, "nothing");
    let header = run.measurements[0].children[0].region(RegionName::Header);
    assert!(pages.contains(&header.unwrap().pages), "{header:?}");
}

/// The content of a text of a derived class stands elsewhere, and so does the UTF-8 form of any
/// that is not ASCII.
#[rstest]
#[case::ascii("'x' * 20_000", 480..520, 0..1)]
#[case::derived("Text('x' * 20_000)", 1..100, 450..600)]
#[case::not_ascii("encoded('é' * 20_000)", 480..600, 900..1_100)]
fn texts_are_as_long_as_their_memory(
    #[case] text: &str,
    #[case] headers: std::ops::Range<u64>,
    #[case] contents: std::ops::Range<u64>,
) {
    let source = format!(
        "class Text(str):\n    pass\n\n\
         def encoded(text):\n    import ctypes\n    \
             ctypes.pythonapi.PyUnicode_AsUTF8(ctypes.py_object(text))\n    return text\n\n\
         def build(count=100):\n    return [{text} for _ in range(count)]\n\n\
         def visit_nothing(data):\n    pass\n"
    );
    let run = of_source(&source, "nothing");
    let child = &run.measurements[0].children[0];
    let pages = |name| child.region(name).map_or(0, |region| region.pages);
    let found = (pages(RegionName::Header), pages(RegionName::Payload));
    assert!(
        headers.contains(&found.0) && contents.contains(&found.1),
        "{found:?}"
    );
}

/// `abort(3)` in the place of a type's traverse, which is C.
#[test]
fn a_type_with_a_broken_traverse_is_named() {
    let source = "\
import ctypes

class Slot(ctypes.Structure):
    _fields_ = [('slot', ctypes.c_int), ('function', ctypes.c_void_p)]

class Spec(ctypes.Structure):
    _fields_ = [('name', ctypes.c_char_p), ('basicsize', ctypes.c_int), ('itemsize', ctypes.c_int),
                ('flags', ctypes.c_uint), ('slots', ctypes.POINTER(Slot))]

TRAVERSE = 71
HAVE_GC = 1 << 14
abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
slots = (Slot * 2)(Slot(TRAVERSE, abort), Slot(0, None))
spec = Spec(b'mine.Broken', 32, 0, (1 << 18) | HAVE_GC, slots)
make = ctypes.pythonapi.PyType_FromSpec
make.restype = ctypes.py_object
Broken = make(ctypes.byref(spec))

def build(count=10, item_bytes=8):
    return [Broken() for _ in range(count)]

def visit_iterate(data):
    pass
";
    let place = Place::new();
    let file = place.path("mine.py");
    std::fs::write(&file, source).unwrap();
    let output = run::run(&["measure", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("SIGABRT"), "{error}");
    assert!(
        error.contains("tp_traverse") && error.contains("mine.Broken"),
        "{error}"
    );
}

/// Forbids perf_event_open(2) as containers' seccomp profiles do: EPERM, to root as well.
fn forbid_perf() -> io::Result<()> {
    use nix::libc::{
        BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, EPERM, SECCOMP_RET_ALLOW,
        SECCOMP_RET_ERRNO, SECCOMP_SET_MODE_FILTER, SYS_perf_event_open, SYS_seccomp, sock_filter,
        sock_fprog, syscall,
    };
    let step = |code: u32, jf, k| sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf,
        k,
    };
    let number = u32::try_from(SYS_perf_event_open).unwrap();
    let mut filter = [
        // The number of the system call stands first in `struct seccomp_data`.
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, 1, number),
        step(
            BPF_RET | BPF_K,
            0,
            SECCOMP_RET_ERRNO | EPERM.cast_unsigned(),
        ),
        step(BPF_RET | BPF_K, 0, SECCOMP_RET_ALLOW),
    ];
    let program = sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    nix::sys::prctl::set_no_new_privs()?;
    #[expect(unsafe_code, reason = "nix has no seccomp")]
    // SAFETY: the program and its filter live through the call, which copies them.
    let done = unsafe { syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    nix::errno::Errno::result(done)?;
    Ok(())
}

/// Runs refcow where page faults cannot be recorded.
fn without_perf(arguments: &[&str]) -> Output {
    let mut command = Command::new(crate::common::REFCOW);
    command.args(arguments);
    #[expect(unsafe_code, reason = "a filter is set in the new process")]
    // SAFETY: between fork and exec `forbid_perf` makes two system calls, and allocates nothing.
    unsafe {
        command.pre_exec(forbid_perf);
    }
    run::output(&mut command)
}

#[test]
fn causes_that_cannot_be_had_are_absent_with_the_ways_to_get_them() {
    let arguments = ["measure", "ints", "--count", "20000", "--visit", "iterate"];
    let output = without_perf(&[&arguments[..], &["--format", "json"]].concat());
    let run = run::the_run(&run::succeeded("refcow measure", output));
    let child = &run.measurements[0].children[0];
    let header = child.region(RegionName::Header).unwrap();
    assert_eq!(header.unshared, header.pages, "counts stay");
    assert_eq!((header.causes, child.written.len()), (None, 0));
    let told = run.warnings.iter().find_map(|warning| match warning {
        Warning::CausesUnknown { reason, remedy } => Some((reason, remedy)),
        _ => None,
    });
    let (reason, remedy) = told.unwrap_or_else(|| panic!("{:?}", run.warnings));
    assert!(reason.contains("perf_event_paranoid"), "{reason}");
    assert!(remedy.contains("seccomp"), "{remedy}");

    // Who asks for nothing but them is told by the status, too.
    let output = without_perf(&[&arguments[..], &["--by", "type"]].concat());
    assert_eq!(output.status.code(), Some(3));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("unknown") && table.contains("cannot tell what caused the copies"),
        "{table}"
    );
}
