//! A document measured again: what counts as the same, and what does not.

use std::collections::BTreeMap;
use std::fs;

use crate::common::canned;
use crate::common::full::places;
use crate::common::{Finished, Place, ways};
use refcow::compare::TOLERANCE;
use refcow::consistency;
use refcow::model::{
    self, Alternative, Answer, Difference, Environment, GivesBack, OwnData, RegionName, Report,
    Reproduction, Run, Verdict, Weight,
};
use refcow::report;
use refcow::reproduce::{Again, reproduction, same_sources};
use refcow::shell;
use rstest::rstest;
use serde_json::{Value, json};

/// What comes of a canned run of which another one is measured now.
fn against(change: impl Fn(&mut Run)) -> Reproduction {
    let recorded = canned::run_with_claims("3.12.1");
    let mut now = recorded.clone();
    change(&mut now);
    reproduction(&Report::of(recorded), &[Again::Run(&now)], TOLERANCE)
}

fn heaviest(reproduction: &Reproduction) -> &Difference {
    &reproduction.runs[0].differences[0]
}

/// Another number of copied pages of a region, in each child of `three_lists/iterate`.
fn unshared(run: &mut Run, name: RegionName, pages: u64) {
    let visited = run
        .measurements
        .iter_mut()
        .find(|one| one.visit == "iterate");
    for child in &mut visited.unwrap().children {
        canned::without_causes(child);
        let region = child.regions.iter_mut().find(|region| region.name == name);
        region.unwrap().unshared = pages;
    }
}

#[test]
fn the_same_pages_and_verdicts_are_reproduced_whatever_it_took() {
    let same = against(|run| {
        for measurement in &mut run.measurements {
            measurement.build_seconds *= 2.0;
            measurement.tree.pss_bytes_before = Some(300 << 20);
            for child in &mut measurement.children {
                child.visit_seconds *= 3.0;
                child.minor_faults += 1;
            }
        }
        run.claims[0].decided_by = Some("in another time".into());
    });
    assert_eq!(same.answer, Answer::Reproduced);
    assert!(same.compared() > 40, "{}", same.compared());
    assert!(same.runs[0].differences.is_empty(), "{same:?}");
}

#[test]
fn memory_of_processes_may_be_apart_by_half() {
    for (times, answer) in [(1.4, Answer::Reproduced), (10.0, Answer::Differs)] {
        let other = against(|run| {
            let before = &mut run.measurements[0].tree.pss_bytes_before;
            *before = before.map(|bytes| (bytes as f64 * times) as u64);
        });
        assert_eq!(other.answer, answer, "{times}");
    }
}

#[rstest]
#[case::a_page(120, Weight::WithinTolerance, Answer::WithinTolerance)]
#[case::many(90, Weight::Differs, Answer::Differs)]
// Fewer than the tolerance would be allowed to have none.
#[case::none(0, Weight::Differs, Answer::Differs)]
fn copied_pages_may_differ_by_the_tolerance(
    #[case] pages: u64,
    #[case] weight: Weight,
    #[case] answer: Answer,
) {
    let other = against(|run| unshared(run, RegionName::Header, pages));
    assert_eq!(other.answer, answer);
    let first = heaviest(&other);
    assert_eq!(first.weight, weight);
    assert_eq!(
        first.of,
        "three_lists/iterate (2000 × 65536 bytes), child 1, header unshared"
    );
    let figures = (first.recorded.as_deref(), first.now.as_deref());
    assert_eq!(figures, (Some("121"), Some(&pages.to_string()[..])));
}

#[rstest]
#[case::a_few(12, Some(Weight::DoesNotCount), Answer::Reproduced)]
#[case::many(200, Some(Weight::Differs), Answer::Differs)]
fn what_is_not_the_datasets_moves(
    #[case] pages: u64,
    #[case] weight: Option<Weight>,
    #[case] answer: Answer,
) {
    let other = against(|run| unshared(run, RegionName::Rest, pages));
    assert_eq!(other.answer, answer);
    assert_eq!(Some(heaviest(&other).weight), weight);
}

/// How much of a library is mapped depends on the page cache, which other programs change; what is
/// copied of it does not.
#[rstest]
#[case::mapped(330, 0, Weight::DoesNotCount)]
#[case::mapped_far_less(40, 0, Weight::Differs)]
#[case::copied(365, 100, Weight::Differs)]
fn pages_of_libraries_are_those_of_the_page_cache(
    #[case] pages: u64,
    #[case] copied: u64,
    #[case] weight: Weight,
) {
    let with = |pages: u64, copied: u64| {
        let mut run = canned::run_with_claims("3.12.1");
        for child in run
            .measurements
            .iter_mut()
            .flat_map(|one| &mut one.children)
        {
            canned::without_causes(child);
            for region in &mut child.regions {
                if region.name == RegionName::Rest {
                    region.name = RegionName::Libraries;
                    (region.pages, region.unshared, region.identical) = (pages, copied, None);
                }
            }
        }
        run
    };
    let recorded = Report::of(with(365, 0));
    let now = with(pages, copied);
    let other = reproduction(&recorded, &[Again::Run(&now)], TOLERANCE);
    assert_eq!(heaviest(&other).weight, weight);
}

#[test]
fn what_another_build_has_of_its_own_does_not_count() {
    let other = against(|run| {
        run.python.build = Some("3.12.1 (another) [clang]".into());
        unshared(run, RegionName::Rest, 900);
    });
    assert_eq!(other.answer, Answer::Reproduced);
    assert_eq!(other.runs[0].differs, ["build of Python"]);
    assert_eq!(heaviest(&other).weight, Weight::DoesNotCount);
}

#[test]
fn another_verdict_differs() {
    let other = against(|run| run.claims[0].verdict = Verdict::DoesNotHold);
    assert_eq!(other.answer, Answer::Differs);
    let first = heaviest(&other);
    assert_eq!(first.of, "claim zero-deletes");
    let words = (first.recorded.as_deref(), first.now.as_deref());
    assert_eq!(words, (Some("holds"), Some("does not hold")));
}

#[rstest]
#[case::size(|run: &mut Run| run.measurements[0].count = Some(3_000), "other data")]
#[case::children(|run: &mut Run| drop(run.measurements[0].children.pop()), "another number of children")]
#[case::gone(|run: &mut Run| drop(run.measurements.remove(0)), "did not measure it again")]
#[case::page_size(|run: &mut Run| run.environment.page_size_bytes = 65_536, "pages of 4096 and of 65536 bytes")]
fn what_is_not_of_the_same_cannot_be_compared(#[case] change: fn(&mut Run), #[case] because: &str) {
    let other = against(change);
    assert_eq!(other.answer, Answer::NotComparable);
    let first = heaviest(&other);
    assert!(
        first.because.as_ref().unwrap().contains(because),
        "{first:?}"
    );
}

#[rstest]
#[case::a_few_pages(|way: &mut Alternative| way.children[0].copied_pages += 20, None)]
#[case::many_pages(|way: &mut Alternative| way.children[0].copied_pages -= 4_000, Some(Weight::Differs))]
#[case::through_a_pipe(
    |way: &mut Alternative| {
        way.children[0].piped_bytes = Some(way.size_bytes);
        way.children[0].copied_pages -= 4_000;
    },
    Some(Weight::DoesNotCount)
)]
#[case::what_it_does(|way: &mut Alternative| way.elements_survive = false, Some(Weight::Differs))]
fn ways_to_share_must_do_the_same_and_copy_about_as_much(
    #[case] change: fn(&mut Alternative),
    #[case] weight: Option<Weight>,
) {
    let mut recorded = canned::run("3.12.1");
    recorded.alternatives = canned::alternatives();
    let mut now = recorded.clone();
    change(&mut now.alternatives[0]);
    // What was recorded says whether it came through a pipe.
    recorded.alternatives[0].children[0].piped_bytes = now.alternatives[0].children[0].piped_bytes;
    let other = reproduction(&Report::of(recorded), &[Again::Run(&now)], TOLERANCE);
    let mut found = other.runs[0].differences.iter().map(|one| one.weight);
    assert_eq!(found.next(), weight, "{other:?}");
    assert_eq!(found.next(), None, "{other:?}");
}

#[rstest]
#[case::the_same(|_: &mut OwnData| (), Answer::Reproduced)]
#[case::pages(|data: &mut OwnData| data.ways[0].measured.as_mut().unwrap().children[0].copied_pages += 16, Answer::Reproduced)]
#[case::more_pages(|data: &mut OwnData| data.ways[0].measured.as_mut().unwrap().children[0].copied_pages += 17, Answer::Differs)]
#[case::memory(|data: &mut OwnData| data.ways[0].measured.as_mut().unwrap().memory.as_mut().unwrap().new_bytes *= 40, Answer::Differs)]
#[case::other_data(|data: &mut OwnData| data.ways[0].measured.as_mut().unwrap().gives_back = GivesBack::Equal, Answer::Differs)]
#[case::no_longer(|data: &mut OwnData| { data.ways.remove(0); }, Answer::NotComparable)]
#[case::times(|data: &mut OwnData| data.fork.seconds.clear(), Answer::Reproduced)]
fn ways_to_share_own_data_must_do_the_same(
    #[case] change: fn(&mut OwnData),
    #[case] answer: Answer,
) {
    let mut recorded = canned::run("3.12.1");
    recorded.own_data = vec![ways::own_data()];
    let mut now = recorded.clone();
    change(&mut now.own_data[0]);
    let found = reproduction(&Report::of(recorded), &[Again::Run(&now)], TOLERANCE);
    assert_eq!(found.answer, answer, "{found:#?}");
}

#[test]
fn a_document_that_lacks_something_is_only_excused_where_it_says_so() {
    let mut recorded = canned::run("3.12.1");
    let now = recorded.clone();
    recorded.measurements.pop();
    let mut recorded = Report::of(recorded);
    for (interrupted, answer) in [(false, Answer::NotComparable), (true, Answer::Reproduced)] {
        recorded.interrupted = interrupted;
        let other = reproduction(&recorded, &[Again::Run(&now)], TOLERANCE);
        assert_eq!(other.answer, answer);
    }
}

#[test]
fn a_run_that_could_not_be_repeated_is_named_beside_those_that_were() {
    let runs = ["3.11.7", "3.12.1"].map(canned::run);
    let again = [
        Again::Run(&runs[0]),
        Again::Not("there is no CPython 3.12 here"),
    ];
    let recorded = Report::of_all(runs.to_vec(), Vec::new());
    let half = reproduction(&recorded, &again, TOLERANCE);
    assert_eq!(half.answer, Answer::NotComparable);
    let text = String::from_utf8(report::render_reproduction(&half, Some(80))).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("reproduction_without_one", text);
    });
}

#[test]
fn differences_are_told_in_their_order() {
    let other = against(|run| {
        let environment: &mut Environment = &mut run.environment;
        environment.kernel = "6.13.0".into();
        unshared(run, RegionName::Header, 0);
        unshared(run, RegionName::Rest, 900);
        run.claims[1].verdict = Verdict::Holds;
        run.measurements[0].count = Some(9);
    });
    let text = String::from_utf8(report::render_reproduction(&other, Some(80))).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("reproduction_differs", text);
    });
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let schema = jsonschema::validator_for(&model::reproduction_schema().to_value()).unwrap();
    let document = serde_json::to_value(&other).unwrap();
    assert!(schema.is_valid(&document), "{document:#}");
}

/// A real run in a file, and a place to measure it again in.
fn recorded(place: &Place) -> (String, Value) {
    let text = "def build(rows: int = 300):\n    return [[n] for n in range(rows)]\n\n\
                def visit_look(data):\n    for row in data:\n        row[0]\n";
    let fixture = place.file("mine.py", text);
    let run = place.path("run.json").to_str().unwrap().to_owned();
    let measure = place.measure([
        &format!("{fixture}:look"),
        "--format",
        "json",
        "--output",
        &run,
    ]);
    place.run(measure).exits_with(0);
    let document = serde_json::from_str(&fs::read_to_string(&run).unwrap()).unwrap();
    (run, document)
}

/// Of a document whose files the user trusts.
fn reproduce(place: &Place, run: &str) -> Finished {
    place.run(place.refcow(["reproduce", run, "--run-code"]))
}

#[test]
fn a_run_is_reproduced_on_its_machine() {
    let place = Place::new();
    let (run, _) = recorded(&place);
    let finished = reproduce(&place, &run).exits_with(0);
    assert!(finished.stdout.starts_with("reproduced: "), "{finished}");
}

#[test]
fn an_older_report_is_left_where_nothing_was_measured() {
    let place = Place::new();
    let (_, mut document) = recorded(&place);
    document["runs"][0]["python"]["version"] = "3.99.1".into();
    let run = place.file("changed.json", &document.to_string());
    let out = place.path("out");
    let folder = out.to_str().unwrap();
    place
        .run(place.refcow(["report", &run, "--output", folder]))
        .exits_with(0);
    let older = fs::read(out.join("run.json")).unwrap();
    let arguments = ["reproduce", &run, "--run-code", "--report", folder];
    place.run(place.refcow(arguments)).exits_with(1);
    assert_eq!(fs::read(out.join("run.json")).unwrap(), older);
}

/// A document in which something was changed, measured again.
fn changed(change: impl Fn(&mut Value)) -> Finished {
    let place = Place::new();
    let (_, mut document) = recorded(&place);
    change(&mut document);
    let run = place.file("changed.json", &document.to_string());
    reproduce(&place, &run).exits_with(1)
}

#[test]
fn a_changed_size_is_named() {
    let finished = changed(|document| {
        document["runs"][0]["measurements"][0]["parameters"] = json!({"rows": 900});
    });
    let text = finished.stdout.replace("\n  ", " ");
    assert!(text.starts_with("not comparable"), "{finished}");
    assert!(
        text.contains("rows=900 recorded, nothing set now"),
        "{finished}"
    );
}

#[test]
fn a_missing_version_is_named() {
    let finished = changed(|document| {
        document["runs"][0]["python"]["version"] = "3.99.1".into();
    });
    let text = finished.stdout.replace("\n  ", " ");
    assert!(text.contains("there is no CPython 3.99 here"), "{finished}");
}

/// What is said of a document that somebody else has written, of which nothing may be run.
fn refused(place: &Place, command: Value, sources: Value) -> Finished {
    let mut document = serde_json::to_value(Report::of(canned::run("3.12.1"))).unwrap();
    document["command"] = command;
    document["sources"] = sources;
    let run = place.file("run.json", &document.to_string());
    let finished = reproduce(place, &run).exits_with(1);
    assert!(
        finished.stdout.starts_with("not comparable: "),
        "{finished}"
    );
    finished
}

#[rstest]
#[case::none(json!([]), "does not say by which command")]
#[case::unknown(json!(["explode"]), "does not understand")]
#[case::of_no_measuring(json!(["doctor"]), "measures nothing")]
#[case::of_no_fixture(json!(["measure", "/etc/passwd"]), "passwd")]
#[case::that_writes(json!(["measure", "ints", "--output", "victim"]), "does more than measure")]
#[case::that_keeps(json!(["measure", "ints", "--save-baseline", "victim"]), "does more than measure")]
#[case::that_reports(json!(["measure", "ints", "--report", "victim"]), "does more than measure")]
#[case::that_says_nothing(json!(["measure", "ints", "--quiet"]), "does more than measure")]
#[case::that_reads_what_is_expected(json!(["claims", "--expect", "/etc/passwd"]), "does more than measure")]
#[case::that_writes_a_file(json!(["new", "victim.py"]), "measures nothing")]
#[case::that_repeats(json!(["reproduce", "run.json"]), "measures nothing")]
#[case::that_starts_a_program(json!(["calibrate", "--python", "victim"]), "measures nothing")]
#[case::that_asks_for_help(json!(["measure", "--help"]), "does not understand")]
#[case::facts_by_their_older_name(json!(["versions", "no-such-fact"]), "refcow knows no fact")]
#[case::sharing_by_its_older_name(json!(["alternatives", "--way", "no-such-way"]), "no way `no-such-way`")]
#[case::of_words_for_python(json!(["measure", "ints", "-c", "open('victim', 'w')"]), "does not understand")]
fn a_command_that_does_not_only_measure_is_not_run(#[case] command: Value, #[case] why: &str) {
    let place = Place::new();
    let finished = refused(&place, command, json!([]));
    let text = finished.stdout.replace('\n', " ");
    assert!(text.contains(why), "{finished}");
    assert!(!place.path("victim").exists());
}

#[rstest]
#[case::another(|path: &str| json!([{"path": path, "sha256": "0".repeat(64)}]), "its SHA-256 differs")]
#[case::not_told(|_: &str| json!([]), "does not say what was in")]
fn a_file_that_is_not_the_one_that_was_measured_is_not_run(
    #[case] sources: fn(&str) -> Value,
    #[case] why: &str,
) {
    let place = Place::new();
    let acts = format!("open({:?}, 'w')\n", place.path("victim"));
    let file = place.file("mine.py", &format!("{acts}def build():\n    {acts}"));
    let finished = refused(&place, json!(["measure", &file]), sources(&file));
    assert!(
        finished.stdout.replace('\n', " ").contains(why),
        "{finished}"
    );
    assert!(!place.path("victim").exists());
}

/// A file that leaves a mark where its code runs, with a module and a package beside it, measured;
/// and its document.
fn that_imports(place: &Place) -> (String, String, Value) {
    fs::create_dir_all(place.path("code/package")).unwrap();
    place.file("code/beside.py", "ROWS = 300\n");
    place.file("code/package/__init__.py", "");
    place.file("code/package/deep.py", "from beside import ROWS\n");
    let victim = place.path("victim");
    let text = format!(
        "from package.deep import ROWS\nopen({victim:?}, 'w').close()\n\
         def build():\n    return [[n] for n in range(ROWS)]\n\
         def visit_look(data):\n    for row in data:\n        row[0]\n"
    );
    let file = place.file("code/mine.py", &text);
    let run = place.path("run.json").to_str().unwrap().to_owned();
    let look = format!("{file}:look");
    let measure = place.measure([&look, "--format", "json", "--output", &run]);
    place.run(measure).exits_with(0);
    fs::remove_file(victim).unwrap();
    let document = serde_json::from_str(&fs::read_to_string(&run).unwrap()).unwrap();
    (file, run, document)
}

fn sha256(path: impl AsRef<std::path::Path>) -> String {
    model::sha256(&fs::read(path).unwrap())
}

#[test]
fn what_a_file_imports_from_beside_it_is_recorded() {
    let place = Place::new();
    let (file, _, document) = that_imports(&place);
    let import =
        |path: &str| json!({"path": path, "sha256": sha256(place.path("code").join(path))});
    let imports = ["beside.py", "package/__init__.py", "package/deep.py"].map(import);
    let source = json!({"path": file, "sha256": sha256(&file), "imports": imports});
    assert_eq!(document["sources"], json!([source]));
    let schema = jsonschema::validator_for(&model::schema().to_value()).unwrap();
    assert!(schema.is_valid(&document));
}

#[test]
fn code_of_files_is_run_only_if_the_user_says_so() {
    let place = Place::new();
    let (file, run, _) = that_imports(&place);
    let refused = place.run(place.refcow(["reproduce", &run]));
    let refused = refused.refuses(2, &file, "reproduce");
    let refused = refused
        .says(&format!(" reproduce {} --run-code", shell::word(&run)))
        .says(&format!(
            "`refcow measure {} ",
            shell::word(&format!("{file}:look"))
        ));
    let paths = ["code/mine.py", "code/beside.py", "code/package/deep.py"];
    let sums = paths.map(|path| sha256(place.path(path)));
    for sum in &sums {
        assert!(refused.stderr.contains(sum), "{sum}\n{refused}");
    }
    assert!(!place.path("victim").exists(), "{refused}");

    let done = reproduce(&place, &run).exits_with(0);
    for sum in &sums {
        let told = done.stderr.lines();
        let told: Vec<_> = told.filter(|line| line.contains(sum)).collect();
        assert_eq!(told.len(), 1, "{sum}\n{done}");
        assert!(told[0].starts_with("refcow: runs the code of "), "{done}");
    }
    assert!(place.path("victim").exists(), "{done}");
}

#[rstest]
#[case::another(
    "beside.py",
    Some("ROWS = 200\n"),
    "imports beside.py, which has changed since it was measured: its SHA-256 differs"
)]
#[case::another_of_a_package(
    "package/__init__.py",
    Some("x = 1\n"),
    "imports package/__init__.py, which has changed since it was measured"
)]
#[case::gone(
    "package/__init__.py",
    None,
    "imported package/__init__.py, which is missing or no longer imported"
)]
#[case::new(
    "package/more.py",
    Some(""),
    "imports package/more.py, and the document does not say what was in it"
)]
#[case::in_the_place_of_a_package(
    "package.py",
    Some(""),
    "imports package.py, and the document does not say"
)]
fn what_was_changed_beside_a_file_is_named_and_not_run(
    #[case] path: &str,
    #[case] text: Option<&str>,
    #[case] why: &str,
) {
    let place = Place::new();
    let (_, run, _) = that_imports(&place);
    let path = place.path("code").join(path);
    match text {
        Some(text) => fs::write(path, text).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
    let finished = reproduce(&place, &run).exits_with(1);
    let said = finished.stdout.replace("\n  ", " ").replace('\n', " ");
    assert!(said.starts_with("not comparable: "), "{finished}");
    assert!(said.contains(why), "{finished}");
    assert!(!place.path("victim").exists(), "{finished}");
}

#[test]
fn every_file_that_was_changed_is_named() {
    let place = Place::new();
    let (file, run, _) = that_imports(&place);
    fs::write(place.path("code/beside.py"), "ROWS = 200\n").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "\n").unwrap();
    let finished = reproduce(&place, &run).exits_with(1);
    let said = finished.stdout.replace('\n', " ");
    assert_eq!(said.matches("its SHA-256 differs").count(), 2, "{finished}");
}

/// A document of refcow's own data, whose command has these words more than the run that it is of.
fn of_ints(place: &Place, more: &[&str]) -> String {
    let words = [
        "measure",
        "ints",
        "--visit",
        "idle",
        "--count",
        "1000",
        "--children",
        "1",
    ];
    let mut measure = place.refcow(words);
    measure.args(["--python", crate::common::python(), "--format", "json"]);
    let finished = place.run(measure).exits_with(0);
    let mut document: Value = serde_json::from_str(&finished.stdout).unwrap();
    let words: Vec<&str> = words.into_iter().chain(more.iter().copied()).collect();
    document["command"] = json!(words);
    place.file("run.json", &document.to_string())
}

#[test]
fn data_of_refcows_own_is_measured_again_without_further_words() {
    let place = Place::new();
    let run = of_ints(&place, &[]);
    place.run(place.refcow(["reproduce", &run])).exits_with(0);
}

#[test]
fn the_time_limit_of_a_document_does_not_count() {
    let place = Place::new();
    let run = of_ints(&place, &["--timeout", "0.000001"]);
    place.run(place.refcow(["reproduce", &run])).exits_with(0);
    let own = ["reproduce", &run, "--timeout", "0.000001"];
    let finished = place.run(place.refcow(own));
    assert_ne!(finished.status.code(), Some(0), "{finished}");
}

#[test]
fn a_document_starts_no_program_that_it_names() {
    let place = Place::new();
    let victim = place.path("victim");
    let program = place.program(
        "python3",
        &format!("#!/bin/sh\ntouch '{}'\n", victim.display()),
    );
    let run = of_ints(&place, &["--python", &program]);
    place.run(place.refcow(["reproduce", &run])).exits_with(0);
    assert!(!victim.exists());
}

/// 32 TiB: no machine has room for it, and no allocator tries.
#[test]
fn data_beyond_memory_is_refused_whatever_the_document_says() {
    let place = Place::new();
    let run = of_ints(&place, &[]);
    let mut document: Value = serde_json::from_str(&fs::read_to_string(&run).unwrap()).unwrap();
    document["command"] = json!([
        "measure",
        "bytes_objects",
        "--visit",
        "idle",
        "--count",
        "1",
        "--item-bytes",
        "35184372088832",
        "--children",
        "1",
        "--force"
    ]);
    let run = place.file("changed.json", &document.to_string());
    let finished = place.run(place.refcow(["reproduce", &run])).exits_with(1);
    let said = finished.stdout.replace("\n  ", " ");
    assert!(said.contains("needs about 64.0 TiB"), "{finished}");
}

/// Words of which only some are right, wherever they are.
const WORDS: [&str; 34] = [
    "holds",
    "does not hold",
    "as predicted",
    "otherwise",
    "not testable here",
    "fork",
    "spawn",
    "usable",
    "unusable",
    "manager",
    "segment",
    "ints",
    "bitarrays",
    "refcount",
    "gc",
    "buffer",
    "body",
    "allocator",
    "kernel",
    "unattributed",
    "header",
    "spine",
    "payload",
    "interpreter",
    "modules",
    "libraries",
    "stack",
    "rest",
    "pages",
    "bytes",
    "share",
    "count",
    "returned",
    "nothing_returned",
];

/// Other values of the same kind, far from the one that is there. Of words that are not taken the
/// next is tried.
fn others(place: &str, value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(truth) => vec![json!(!truth)],
        Value::Number(number) => match number.as_i64() {
            Some(whole) if place.ends_with("_bytes") => vec![json!(whole * 10 + (64 << 20))],
            Some(whole) => vec![json!(whole * 10 + 1_000)],
            None => vec![json!(number.as_f64().unwrap() * 10.0 + 1_000.0)],
        },
        Value::String(text) if place.ends_with("/map") => {
            let stretches: Vec<&str> = text.split(' ').rev().collect();
            vec![json!(stretches.join(" "))]
        }
        Value::String(text) if text.len() == 64 => vec![json!("a".repeat(64))],
        Value::String(text) => {
            let words = WORDS.iter().filter(|word| *word != text);
            let any = ["Rust is better than Python."];
            any.iter().chain(words).map(|text| json!(text)).collect()
        }
        _ => Vec::new(),
    }
}

/// What is said of a document of which one value was changed, and which is measured again as it
/// was.
fn said_of(edited: &Value, original: &Report) -> Result<Reproduction, String> {
    let read = model::read(edited.to_string().as_bytes());
    let (mut report, _) = read.map_err(|error| error.to_string())?;
    consistency::check(&mut report, refcow::COMMIT).map_err(|error| error.to_string())?;
    same_sources(&report.sources, &original.sources)?;
    let now: Vec<_> = original.runs.iter().map(Again::Run).collect();
    Ok(reproduction(&report, &now, TOLERANCE))
}

/// A place in a document as answers name fields: `runs[].claims[].verdict`.
fn field(place: &str) -> String {
    let mut field = String::new();
    for name in place.split('/').skip(1) {
        match name.parse::<usize>() {
            Ok(_) => field += "[]",
            Err(_) => field = format!("{field}.{}", name.replace("~1", "/").replace("~0", "~")),
        }
    }
    field.trim_start_matches('.').to_owned()
}

/// Each field of a document, one after the other, with another value: where it is there often, the
/// first and the last.
fn every_edit_is_found_or_named(document: &Value) {
    let original = read(document);
    let plain = said_of(document, &original).unwrap();
    assert_eq!(plain.answer, Answer::Reproduced, "{plain:#?}");
    assert!(
        plain.runs.iter().all(|run| run.differences.is_empty()),
        "{plain:#?}"
    );
    let mut all = Vec::new();
    places(document, "", &mut all);
    let mut ends: BTreeMap<String, [&str; 2]> = BTreeMap::new();
    for place in &all {
        ends.entry(field(place)).or_insert([place, place])[1] = place;
    }
    let mut unseen = Vec::new();
    for (field, [first, last]) in &ends {
        let mut places = vec![*first, *last];
        places.dedup();
        for place in places {
            let value = document.pointer(place).unwrap();
            for other in others(place, value).into_iter().filter(|one| one != value) {
                let mut edited = document.clone();
                *edited.pointer_mut(place).unwrap() = other.clone();
                let answer = match said_of(&edited, &original) {
                    Err(refused) if refused.contains("unknown variant") => continue,
                    Err(_) => break,
                    Ok(answer) => answer,
                };
                let named = answer.not_compared.iter().flat_map(|one| &one.fields);
                let mut named = named.filter(|of| field.starts_with(&of[..]));
                if answer.runs == plain.runs && named.next().is_none() {
                    unseen.push(format!("{place}: {value} → {other}"));
                }
                break;
            }
        }
    }
    assert!(ends.len() > 50, "{ends:?}");
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

fn read(document: &Value) -> Report {
    model::read(document.to_string().as_bytes()).unwrap().0
}

/// A document that such a command makes.
fn made_by(place: &Place, arguments: &[&str]) -> Value {
    let mut command = place.refcow(arguments);
    command.args(["--python", crate::common::python(), "--format", "json"]);
    let finished = place.run(command);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}\n{finished}"))
}

#[rstest]
#[case::claims(&["claims", "read-only", "fork-shares", "saves-memory", "zero-deletes", "--quick"])]
#[case::facts(&["facts", "small-ints-to-1024"])]
fn every_field_of_a_document_is_checked_compared_or_named(#[case] arguments: &[&str]) {
    let place = Place::new();
    every_edit_is_found_or_named(&made_by(&place, arguments));
}

#[rstest]
#[case::measured("measure", &["--lines"])]
#[case::advice("advise", &[])]
fn every_field_of_a_document_of_a_users_file_is_checked_compared_or_named(
    #[case] command: &str,
    #[case] more: &[&str],
) {
    let place = Place::new();
    place.file("beside.py", "ROWS = 3_000\n");
    let text = "from beside import ROWS\nimport os\n\ndef build(rows: int = ROWS):\n    \
                return [[n] for n in range(rows)]\n\n\
                def visit_look(data):\n    import colorsys\n    kept = [row + [1] for row in data]\n    \
                pid = os.fork()\n    if not pid:\n        os._exit(len([row for row in data]) % 2)\n    \
                os.waitpid(pid, 0)\n    return len(kept)\n";
    let fixture = place.file("mine.py", text);
    let look = format!("{fixture}:look");
    let arguments: Vec<&str> = [command, &look]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    every_edit_is_found_or_named(&made_by(&place, &arguments));
}
