//! The code that advice prints: pasted into a plain interpreter, it does what was measured.

use std::path::Path;
use std::process::Command;

use crate::common::ways_python::PACKAGES;
use crate::common::{Place, by_python, python, run, skipped};
use refcow::model::Advice;
use rstest::rstest;
use serde::Deserialize;

const REMEDIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python_fixtures/remedies");
const SHAPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/remedies.py");
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/tables.py");
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/same_results.py");
const COMPARE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/subject/compare.py");
const PLAIN_FORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/plain_fork.py");
const RECORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/records.py");
const FORMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/forms.py");
/// Those of records.py.
const KINDS: [&str; 14] = [
    "coco",
    "coco_file",
    "named",
    "dataclass",
    "nothing_but_none",
    "optional_key",
    "int_and_float",
    "lists",
    "tags",
    "dict_of_str",
    "dict_of_records",
    "set",
    "deque",
    "big_ints",
];

/// What a program prints.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[rstest]
fn what_takes_the_place_of_data_of_any_shape_does_what_the_data_does(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "advise_code", |interpreter| {
        for (arguments, says) in [
            ([SHAPES, REMEDIES], "all do the same"),
            ([RESULTS, COMPARE], "all are told apart"),
        ] {
            let mut command = Command::new(by_python::path(interpreter));
            assert_eq!(said(command.args(arguments)).trim_end(), says);
        }
    });
}

#[test]
fn so_does_what_takes_the_place_of_arrays_and_tables() {
    let folder = match PACKAGES.installed(python(), python()) {
        Ok(folder) => folder,
        Err(reason) => return skipped("arrays_and_tables", &reason),
    };
    let mut command = Command::new(python());
    command
        .args(["-B", TABLES, REMEDIES])
        .env("PYTHONPATH", folder);
    assert_eq!(
        said(&mut command),
        "all do the same\nso do arrays and tables\n"
    );
}

/// What parent and workers take, by the kernel's sums over a plain program.
#[derive(Debug, Deserialize)]
struct Plain {
    anonymous: u64,
    returned: String,
}

fn plain(python: &str, file: &str, visit: &str, code: Option<&Path>, settings: &[&str]) -> Plain {
    let code = code.map_or("-".into(), |path| path.display().to_string());
    let mut command = Command::new(python);
    command
        .args([PLAIN_FORK, file, visit, "2", &code])
        .args(settings);
    serde_json::from_str(&said(&mut command)).unwrap()
}

/// Has refcow advise on a visit, and a plain program run the code of each remedy that replaces the data and helps. Both must
/// take the same memory as it is and with the best remedy. The remedies, and a line on each for who looks.
fn confirm(
    place: &Place,
    python: &str,
    file: &str,
    visit: &str,
    settings: &[&str],
) -> (Vec<String>, String) {
    let data: Vec<&str> = settings.iter().flat_map(|one| ["--set", one]).collect();
    let named = format!("{file}:{visit}");
    let words = ["advise", &named, "--python", python, "--format", "json"];
    let run = run::the_run(&run::stdout(&[&words[..], &data].concat()));
    let [advice]: &[Advice; 1] = run.advice[..].try_into().unwrap();
    let as_it_is = plain(python, file, visit, None, settings);
    let all = as_it_is.anonymous;
    let mut lines = format!("{} {settings:?}", run.python.version);
    let mut line = |what: &str, measured: u64, plain: u64| {
        let apart = (measured as f64 / plain as f64 - 1.0) * 100.0;
        lines += &format!("; {what} {measured} and {plain} bytes ({apart:+.1} %)");
    };
    line("as it is", advice.tree.unwrap().end, all);
    close(advice.tree.unwrap().end, all, all, "as it is");
    let mut confirmed = Vec::new();
    let best = advice.best().map(|best| &best.remedy);
    for tried in &advice.remedies {
        if !advice.helps(tried) || tried.compared.is_none() {
            continue;
        }
        let code = place.file("code.py", &(tried.code.join("\n") + "\n"));
        let with = plain(python, file, visit, Some(code.as_ref()), settings);
        assert_eq!(with.returned, as_it_is.returned, "{}", tried.remedy);
        let measured = tried.tree.unwrap().end;
        line(&tried.remedy, measured, with.anonymous);
        let what = format!("{} of {settings:?}", tried.remedy);
        if Some(&tried.remedy) == best {
            close(measured, with.anonymous, with.anonymous, &what);
        }
        // What others leave of freed objects is now and then a MiB more or less.
        close(measured, with.anonymous, all, &what);
        confirmed.push(tried.remedy.clone());
    }
    confirmed.sort_unstable();
    (confirmed, lines)
}

/// Each remedy that replaces data.
#[rstest]
fn pasted_into_a_plain_program_it_returns_the_same_and_takes_as_much_memory(
    #[values("3.9", "3.11", "3.13")] series: &str,
) {
    by_python::each(series, "advise_code", |interpreter| {
        let place = Place::new();
        let text = "import array, copy\n\
                    class Record:\n    pass\n\
                    def build():\n    \
                    return {'rows': [{'id': n, 'text': 'row %d' % n, 'v': [n / 3, n / 7]} for n in range(60_000)]}\n\
                    def visit_sum(data):\n    \
                    return sum(row['id'] + len(row['text']) + row['v'][1] for row in data['rows'])\n";
        let file = place.file("mine.py", text);
        let (confirmed, _) = confirm(&place, by_python::path(interpreter), &file, "sum", &[]);
        assert_eq!(
            confirmed,
            ["packed-arrays", "pickled-rows", "shared-memory"]
        );
    });
}

/// Every shape of records. `REFCOW_PYTHONS=all cargo test --test all -- --ignored --nocapture shapes_of_records` prints the figures of
/// all three.
#[rstest]
#[ignore = "takes minutes"]
fn shapes_of_records_get_a_remedy_that_a_plain_program_confirms(
    #[values("3.9", "3.11", "3.13")] series: &str,
) {
    by_python::each(series, "advise_code", |interpreter| {
        for kind in KINDS {
            let place = Place::new();
            let kind = format!("kind={kind}");
            let (confirmed, line) = confirm(
                &place,
                by_python::path(interpreter),
                RECORDS,
                "all",
                &[&kind],
            );
            eprintln!("{line}");
            assert!(!confirmed.is_empty(), "{line}");
        }
    });
}

/// Each form of the same data, which returns the same. `cargo test --test all -- --ignored --nocapture forms_of_data` prints what parent and
/// workers take with them: why docs/design.md has them as no remedies.
#[test]
#[ignore = "prints figures"]
fn forms_of_data_that_are_no_remedies() {
    let folder = PACKAGES.installed(python(), python()).unwrap();
    for forms in [
        &["dict", "sorted"][..],
        &["lru_cache", "lru_cache_without_end"],
        &["labels", "labels_as_str", "labels_as_category"],
    ] {
        let taken = |form: &&str| {
            let form = format!("form={form}");
            let mut command = Command::new(python());
            command.args([PLAIN_FORK, FORMS, "use", "2", "-", &form]);
            let plain: Plain =
                serde_json::from_str(&said(command.env("PYTHONPATH", folder))).unwrap();
            eprintln!("{form}: {:.1} MiB", plain.anonymous as f64 / 1048576.0);
            plain.returned
        };
        let returned: Vec<_> = forms.iter().map(taken).collect();
        assert!(
            returned.iter().all(|one| *one == returned[0]),
            "{returned:?}"
        );
    }
}

/// What pymalloc gives back at once from CPython 3.10 on, an arena. Whether one of them holds something still is a matter of what lies
/// beside what, and of the names of files: the same plain program takes one more or less.
const ARENA: u64 = 1 << 20;

/// Within a twentieth, or by an arena.
fn close(measured: u64, plain: u64, all: u64, what: &str) {
    let apart = measured.abs_diff(plain);
    assert!(
        apart <= ARENA.max(all / 20),
        "{what}: {measured} and {plain} of {all} bytes"
    );
}
