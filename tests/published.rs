//! The folder of a report, and what `refcow report` makes of a run.

use std::fs;
use std::path::Path;

use crate::common::{Finished, Place};
use refcow::model;
use rstest::rstest;

/// All files in a folder, by their paths in it.
fn files(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(
                files(&entry.path())
                    .iter()
                    .map(|file| format!("{name}/{file}")),
            ),
            false => all.push(name),
        }
    }
    all.sort_unstable();
    all
}

const ARGUMENTS: [&str; 7] = [
    "small_ints",
    "lists",
    "--count",
    "5000",
    "--visit",
    "iterate",
    "--report",
];

/// A small run, whose report is in the folder `out`.
fn published(place: &Place) -> Finished {
    let out = place.path("out");
    let mut arguments: Vec<&str> = ARGUMENTS.to_vec();
    arguments.push(out.to_str().unwrap());
    place.run(place.measure(arguments)).exits_with(0)
}

#[test]
fn a_run_is_published_as_a_folder_and_two_runs_give_the_same_pages() {
    let place = Place::new();
    // The table goes where it goes without --report.
    assert!(published(&place).stdout.contains("lists, shared by fork"));
    let out = place.path("out");
    let first = files(&out);
    for name in [
        "index.html",
        "report.md",
        "run.json",
        "pages.csv",
        "times.csv",
        "charts/pages-lists.png",
        "charts/pages-lists.svg",
    ] {
        assert!(first.contains(&name.to_owned()), "no {name} in {first:?}");
    }
    let pages = fs::read(out.join("pages.csv")).unwrap();
    let (report, _) = model::read(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(report.command[..2], ["measure", "small_ints"]);

    published(&place);
    assert_eq!(files(&out), first);
    assert_eq!(fs::read(out.join("pages.csv")).unwrap(), pages);
    // Nothing is left beside it.
    let beside = fs::read_dir(place.path("")).unwrap();
    let drafts = beside.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".refcow")
    });
    assert_eq!(drafts.count(), 0);
}

#[rstest]
#[case::all(&[], None)]
#[case::html(&["--format", "html"], Some("index.html"))]
#[case::markdown(&["--format", "markdown"], Some("report.md"))]
#[case::json(&["--format", "json"], Some("run.json"))]
#[case::csv(&["--format", "csv"], Some("pages.csv"))]
#[case::one_chart(&["--format", "svg", "--chart", "pages-lists"], Some("charts/pages-lists.svg"))]
#[case::one_picture(&["--format", "png", "--chart", "pages-lists"], Some("charts/pages-lists.png"))]
fn a_document_gives_what_the_run_gave(#[case] format: &[&str], #[case] same_as: Option<&str>) {
    let place = Place::new();
    published(&place);
    let run = place.path("out/run.json");
    let again = place.path("again");
    let mut arguments = vec!["report", run.to_str().unwrap()];
    arguments.extend(format);
    arguments.extend(["--output", again.to_str().unwrap()]);
    place.run(place.refcow(arguments)).exits_with(0);
    match same_as {
        Some(name) => {
            assert_eq!(
                fs::read(&again).unwrap(),
                fs::read(place.path("out").join(name)).unwrap()
            );
        }
        None => {
            for name in files(&place.path("out")) {
                let [one, other] = ["out", "again"]
                    .map(|folder| fs::read(place.path(folder).join(&name)).unwrap());
                assert!(one == other, "{name}");
            }
        }
    }
}

#[rstest]
#[case::nowhere(&[], "--output names no folder")]
#[case::several_charts(&["--format", "png"], "charts are several files")]
#[case::unknown_chart(&["--format", "svg", "--chart", "pie"], "there is no chart `pie`")]
#[case::no_chart(&["--format", "html", "--chart", "memory"], "--format is none of svg and png")]
#[case::over_the_users_files(&["--output", "mine"], "holds notes.txt")]
fn what_cannot_be_published_is_refused(#[case] arguments: &[&str], #[case] why: &str) {
    let place = Place::new();
    published(&place);
    fs::create_dir(place.path("mine")).unwrap();
    place.file("mine/notes.txt", "mine");
    let run = place.path("out/run.json");
    let mut words = vec!["report", run.to_str().unwrap()];
    words.extend(arguments);
    let mut command = place.refcow(words);
    command.current_dir(place.path(""));
    let finished = place.run(command).exits_with(2);
    assert!(finished.stderr.contains(why), "{finished}");
    assert_eq!(files(&place.path("mine")), ["notes.txt"]);
}

#[rstest]
#[case::pictures(&["--format", "svg"], "mine.svg")]
#[case::pages(&[], "index.html")]
#[case::charts(&[], "charts")]
fn a_folder_of_the_users_is_not_replaced_whatever_is_in_it(
    #[case] format: &[&str],
    #[case] name: &str,
) {
    let place = Place::new();
    published(&place);
    let mine = place.path("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join(name), "mine").unwrap();
    let run = place.path("out/run.json");
    let mut words = vec![
        "report",
        run.to_str().unwrap(),
        "--output",
        mine.to_str().unwrap(),
    ];
    words.extend(format);
    let finished = place.run(place.refcow(words)).exits_with(2);
    assert!(
        finished.stderr.contains(&format!("holds {name}")),
        "{finished}"
    );
    assert_eq!(fs::read_to_string(mine.join(name)).unwrap(), "mine");
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_anything_is_measured() {
    let place = Place::new();
    let out = place.path("no/where");
    let mut arguments: Vec<&str> = ARGUMENTS.to_vec();
    arguments.push(out.to_str().unwrap());
    let finished = place.run(place.measure(arguments)).exits_with(2);
    assert!(
        finished.stderr.contains("cannot write to the folder"),
        "{finished}"
    );
    assert_eq!(finished.stdout, "");
}
