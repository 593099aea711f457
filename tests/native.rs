//! Memory that nobody's reference leads to: what C holds, private files, and the program around the
//! data.

use refcow::driver::Subject;
use refcow::model::{Cause, Child, RegionName, Run, Written};
use refcow::objects::ObjectMap;
use refcow::protocol::{Argument, Arguments, ModuleSource, NamedArguments, Reading, Size};
use refcow::python;
use rstest::rstest;
use serde_json::Value;

use crate::common::{by_python, run};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/c_memory.py");
/// `number` of the fixture's `build`.
const NUMBER: u64 = 400;
/// Copies of pages that a visit does not mean to make.
const FEW: u64 = 12;

fn measured(interpreter: &python::Interpreter, kind: &str, visit: &str) -> Run {
    let kind = format!("kind={kind}");
    run::measure(&[
        FILE,
        "--set",
        &kind,
        "--visit",
        visit,
        "--children",
        "1",
        "--python",
        by_python::path(interpreter),
    ])
}

fn child(run: &Run) -> &Child {
    &run.measurements[0].children[0]
}

fn of_region(child: &Child, name: RegionName) -> (u64, u64) {
    let region = child.region(name);
    region.map_or((0, 0), |region| (region.pages, region.unshared))
}

fn written(child: &Child, wanted: impl Fn(&Written) -> bool) -> u64 {
    let all = child.written.iter().filter(|written| wanted(written));
    all.map(|written| written.pages).sum()
}

#[rstest]
fn what_a_library_holds_for_the_data_is_native(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let run = measured(interpreter, "sqlite", "lookup");
        let child = child(&run);
        let cache = written(child, |written| {
            let by_cache = |name: &str| name.contains("Pcache") || name.contains("sqlite");
            written.region == RegionName::Native
                && written.function.as_deref().is_some_and(by_cache)
        });
        let (pages, unshared) = of_region(child, RegionName::Native);
        assert!(
            pages > 300 && unshared * 10 > pages * 8,
            "{pages} {unshared}"
        );
        assert!(cache * 10 > unshared * 9, "{cache} of {unshared}");
    });
}

#[rstest]
#[case("chunks", NUMBER)]
#[case("mapping", NUMBER)]
// What was given back is nobody's.
#[case("freed", 0)]
fn a_block_is_native_as_long_as_it_is_in_use(
    #[case] kind: &str,
    #[case] expected: u64,
    #[values("3.8", "3.11", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let run = measured(interpreter, kind, "write");
        let child = child(&run);
        let (pages, unshared) = of_region(child, RegionName::Native);
        assert!((expected..expected + FEW).contains(&unshared), "{unshared}");
        assert!(expected > 0 || pages < NUMBER, "{pages}");
        let everywhere: u64 = child.regions.iter().map(|region| region.unshared).sum();
        assert!(everywhere >= NUMBER, "{everywhere}");
    });
}

#[rstest]
fn objects_that_c_holds_are_known_by_what_stands_there(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let run = measured(interpreter, "objects", "take");
        let (pages, unshared) = of_region(child(&run), RegionName::Native);
        let tuples = written(child(&run), |written| {
            written.of_type.as_deref() == Some("tuple")
                && written.cause == Cause::Refcount
                && written.region == RegionName::Native
        });
        // 40,000 tuples and as many texts, all in blocks of 64 bytes and by turns: each page has
        // tuples.
        assert!(
            (1_200..1_300).contains(&tuples),
            "{tuples} of {unshared} of {pages}"
        );
        assert!(unshared - tuples < FEW, "{tuples} of {unshared}");
    });
}

/// The collector knows them, and still no module and no object leads to them.
#[rstest]
fn what_a_container_of_c_code_keeps_is_its_own(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let run = measured(interpreter, "kept", "take");
        let child = child(&run);
        let lists = |region: RegionName| {
            written(child, |written| {
                written.of_type.as_deref() == Some("list")
                    && written.cause == Cause::Refcount
                    && written.region == region
            })
        };
        assert!(
            lists(RegionName::Native) > 40_000 * 56 / 4096,
            "{:#?}",
            child.written
        );
        assert!(lists(RegionName::Interpreter) < FEW, "{:#?}", child.written);
        let (pages, _) = of_region(child, RegionName::Interpreter);
        assert!(pages < 1_000, "{pages}");
    });
}

/// The object map when many things of many types were built twice: reachable from the data, and
/// held by nothing that is known. And where those of this kind are: address, whether the collector
/// tracks it, type.
fn mapped(
    interpreter: &python::Interpreter,
    kind: &str,
    which: &str,
) -> (ObjectMap, Vec<(u64, bool, String)>) {
    let launch = crate::common::launch(interpreter, 0);
    let module = ModuleSource {
        name: "c_memory".into(),
        file: "c_memory.py".into(),
        folder: None,
        source: include_str!("fixtures/c_memory.py").into(),
    };
    let mut subject = Subject::start(&launch).unwrap();
    subject.start_python().unwrap();
    subject.load(Vec::new(), module, Vec::new()).unwrap();
    let argument = |name: &str, text: &str, reading| Argument {
        name: name.into(),
        text: text.into(),
        reading,
    };
    let set = vec![
        argument("kind", kind, Reading::Text),
        argument("number", "20", Reading::Literal),
    ];
    let otherwise = Size {
        count: 1,
        item_bytes: 1,
    };
    let named = NamedArguments { set, otherwise };
    subject.build(&Arguments::Named(named)).unwrap();
    let told: Value = subject.call("told", vec![which.into()]).unwrap();
    let (_, objects) = subject.map(true).unwrap();
    (objects, serde_json::from_value(told).unwrap())
}

#[rstest]
fn what_stands_at_an_address_says_what_the_walk_says(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
    #[values("hidden", "shown")] which: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let (objects, told) = mapped(interpreter, "types", which);
        assert_eq!(told.len(), 20 * 31);
        for (address, tracked, of_type) in told {
            let found = objects.at(address);
            let cause = found.map(|found| found.cause);
            let named = found.and_then(|found| found.of_type);
            assert_eq!(
                (cause, named),
                (Some(Cause::Refcount), Some(&*of_type)),
                "{address:#x}"
            );
            if tracked {
                let in_front = objects
                    .at(address - 16)
                    .map(|found| (found.cause, found.of_type));
                assert_eq!(in_front, Some((Cause::Gc, Some(&*of_type))));
            }
        }
    });
}

#[rstest]
fn memory_that_begins_as_an_object_does_is_none(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let (objects, told) = mapped(interpreter, "look_alikes", "look_alikes");
        assert_eq!(told.len(), 22);
        for (address, _, of_type) in told {
            let found = objects.at(address);
            let found = found.map(|found| (found.cause, found.of_type));
            assert_eq!(
                found,
                Some((Cause::Buffer, Some(&*of_type))),
                "{address:#x}"
            );
        }
    });
}

#[rstest]
fn objects_that_the_interpreter_keeps_for_the_next_ones_are_not_c_codes(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let run = measured(interpreter, "given_back", "collect");
        let (pages, _) = of_region(child(&run), RegionName::Native);
        assert!(pages < FEW, "{pages}");
    });
}

#[rstest]
fn a_private_file_is_shared_until_it_is_written(
    #[values("3.8", "3.11", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        for (visit, copied) in [("store", NUMBER / 2), ("read", 0)] {
            let run = measured(interpreter, "file", visit);
            let payload = of_region(child(&run), RegionName::Payload);
            assert_eq!(payload, (NUMBER, copied), "{visit}");
        }
    });
}

#[rstest]
fn objects_of_a_module_are_its_packages(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "native", |interpreter| {
        let run = measured(interpreter, "module", "collect");
        let of_package = |package: &str| {
            written(child(&run), |written| {
                written.region == RegionName::Modules
                    && written.cause == Cause::Gc
                    && written.package.as_deref() == Some(package)
            })
        };
        // 40,000 lists of 56 or 72 bytes with their headers.
        let made = of_package("made_here");
        assert!((500..900).contains(&made), "{made}");
        // Its functions and classes say so; none of the objects of others is the fixture's.
        assert!(of_package("ctypes") > 0);
        assert!(of_package("c_memory") < 20);
        let (pages, unshared) = of_region(child(&run), RegionName::Modules);
        let all = written(child(&run), |written| written.region == RegionName::Modules);
        assert_eq!(all, unshared);
        assert!(unshared * 10 > pages * 4, "{unshared} of {pages}");
    });
}

#[test]
fn what_is_around_the_data_has_a_name() {
    let interpreter = &by_python::builds()[0];
    let run = measured(interpreter, "module", "collect");
    let child = child(&run);
    let around = child.around().pages;
    for name in [
        RegionName::Modules,
        RegionName::Interpreter,
        RegionName::Libraries,
        RegionName::Stack,
    ] {
        assert!(of_region(child, name).0 > 0, "{name:?}");
    }
    let (rest, _) = of_region(child, RegionName::Rest);
    assert!(rest * 10 < around, "{rest} of {around}");
}
