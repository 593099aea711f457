//! The folder of a report, and what `refcow report` makes of a run.

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::LazyLock;

use crate::common::{Finished, Place, canned, skipped};
use refcow::consistency;
use refcow::model::{self, Report};
use refcow::report;
use rstest::rstest;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify;
use rustix::process::Signal;

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

/// Which files of the folder are refcow's.
const MANIFEST: &str = "refcow-manifest.json";

const ARGUMENTS: [&str; 7] = [
    "small_ints",
    "lists",
    "--count",
    "5000",
    "--visit",
    "iterate",
    "--report",
];

/// Files by their paths in a folder.
type Files = Vec<(String, Vec<u8>)>;

/// The report of a small run in the folder `out`, as an earlier run has left it there.
fn published_before(place: &Place) {
    static FILES: LazyLock<Files> = LazyLock::new(|| {
        let place = Place::new();
        published(&place);
        let out = place.path("out");
        let with_bytes = |name: String| (name.clone(), fs::read(out.join(name)).unwrap());
        files(&out).into_iter().map(with_bytes).collect()
    });
    for (name, bytes) in &*FILES {
        let path = place.path("out").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

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
        MANIFEST,
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
    published_before(&place);
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
#[case::several_charts(&["--format", "png"], "charts are several files")]
#[case::unknown_chart(&["--format", "svg", "--chart", "pie"], "this run has no chart `pie`")]
#[case::no_chart(&["--format", "html", "--chart", "memory"], "--chart needs --format svg or --format png")]
#[case::over_the_users_files(&["--output", "mine"], "mine/report.md was not written by refcow")]
fn what_cannot_be_published_is_refused(#[case] arguments: &[&str], #[case] why: &str) {
    let place = Place::new();
    published_before(&place);
    fs::create_dir(place.path("mine")).unwrap();
    place.file("mine/report.md", "mine");
    let run = place.path("out/run.json");
    let mut words = vec!["report", run.to_str().unwrap()];
    words.extend(arguments);
    let mut command = place.refcow(words);
    command.current_dir(place.path(""));
    let finished = place.run(command).exits_with(2);
    assert!(finished.stderr.contains(why), "{finished}");
    assert_eq!(files(&place.path("mine")), ["report.md"]);
}

/// A report of a document has a place of its own; nothing else is replaced there.
#[test]
fn a_report_without_a_place_goes_to_that_of_its_document() {
    let place = Place::new();
    published_before(&place);
    let report = |run: &str| {
        let mut command = place.refcow(["report", run]);
        command.current_dir(place.path(""));
        place.run(command)
    };
    let bytes = |name: &str| fs::read(place.path(name)).unwrap();
    // The folder of a report that refcow has written.
    fs::remove_file(place.path("out/index.html")).unwrap();
    let finished = report("out/run.json").exits_with(0);
    assert_eq!(finished.stdout, "The report is out/index.html\n");
    // Another document.
    fs::copy(place.path("out/run.json"), place.path("mine.json")).unwrap();
    let finished = report("mine.json").exits_with(0);
    assert_eq!(finished.stdout, "The report is mine-report/index.html\n");
    assert_eq!(bytes("mine-report/index.html"), bytes("out/index.html"));
    // Files of the user's.
    place.file("mine-report/report.md", "mine");
    let finished = report("mine.json").exits_with(2);
    let why = "mine-report/report.md was not written by refcow";
    assert!(finished.stderr.contains(why), "{finished}");
    assert_eq!(bytes("mine-report/report.md"), b"mine");
}

/// A document, and what a report of it consists of.
fn rendered(document: &Report) -> (String, Files) {
    let text = serde_json::to_string(document).unwrap();
    // As it is read again.
    let (mut document, _) = model::read(text.as_bytes()).unwrap();
    consistency::check(&mut document, refcow::COMMIT).unwrap();
    (text, report::all(&document).unwrap())
}

/// Two documents, each of which has files that the other has not.
fn two(place: &Place) -> [(String, Files); 2] {
    static TWO: LazyLock<[(String, Files); 2]> = LazyLock::new(|| {
        let first = Report::of(canned::run_with_claims("3.12.1"));
        let mut run = canned::run("3.13.0");
        canned::draw_maps(&mut run);
        let all = [rendered(&first), rendered(&Report::of(run))];
        let has = |of: &[(String, Vec<u8>)], name: &str| of.iter().any(|(other, _)| other == name);
        for (one, other) in [(0, 1), (1, 0)] {
            let only = all[one].1.iter().any(|(name, _)| !has(&all[other].1, name));
            assert!(only, "{one} has all of the other's");
        }
        all
    });
    let [(first, firsts), (second, seconds)] = &*TWO;
    [
        (place.file("first.json", first), firsts.clone()),
        (place.file("second.json", second), seconds.clone()),
    ]
}

/// `refcow report` of a document into the folder `out`.
fn make(place: &Place, document: &str) -> std::process::Command {
    let out = place.path("out");
    place.refcow(["report", document, "--output", out.to_str().unwrap()])
}

/// Fails unless these files are in `out`, with these bytes, and those of the user's, and no others.
fn holds(place: &Place, all: &[(String, Vec<u8>)], mine: &[&str]) {
    let out = place.path("out");
    for (name, bytes) in all {
        assert!(fs::read(out.join(name)).unwrap() == *bytes, "{name}");
    }
    let mut names: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
    names.extend(mine.iter().map(|name| (*name).to_owned()));
    names.push(MANIFEST.to_owned());
    names.sort_unstable();
    assert_eq!(files(&out), names);
    for name in mine {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), "mine");
    }
}

#[test]
fn files_of_the_users_stay_when_a_report_replaces_an_older_one() {
    let place = Place::new();
    let [first, second] = two(&place);
    let mine = ["charts/mine.svg", "notes.txt", "sub/notes.txt"];
    fs::create_dir_all(place.path("out/sub")).unwrap();
    fs::create_dir_all(place.path("out/charts")).unwrap();
    for name in mine {
        place.file(&format!("out/{name}"), "mine");
    }
    for (path, all) in [&first, &second, &first] {
        place.run(make(&place, path)).exits_with(0);
        holds(&place, all, &mine);
    }
}

#[test]
fn what_comes_into_the_folder_while_something_is_measured_stays() {
    let place = Place::new();
    published_before(&place);
    let action = "
for name in ['out/mine.txt', 'out/charts/mine.svg']:
    with open(os.path.join(PLACE, name), 'w') as mine:
        mine.write('mine')
";
    let mut measure = place.measure_fixture_that(crate::common::When::Build, action);
    measure.arg("--report").arg(place.path("out"));
    place.run(measure).exits_with(0);
    for name in ["mine.txt", "charts/mine.svg"] {
        let text = fs::read_to_string(place.path("out").join(name));
        assert_eq!(text.unwrap(), "mine");
    }
    // Of the older report nothing is left.
    let now = files(&place.path("out"));
    assert!(!now.contains(&"charts/pages-lists.svg".into()), "{now:?}");
}

#[test]
fn a_file_that_comes_into_the_way_while_something_is_measured_is_not_replaced() {
    let place = Place::new();
    published_before(&place);
    let before = fs::read(place.path("out/run.json")).unwrap();
    let action = "
with open(os.path.join(PLACE, 'out/index.html'), 'w') as mine:
    mine.write('mine')
";
    let mut measure = place.measure_fixture_that(crate::common::When::Build, action);
    measure.arg("--report").arg(place.path("out"));
    let finished = place.run(measure).exits_with(2);
    // What was measured is told all the same.
    assert!(finished.stdout.contains("acts"), "{finished}");
    finished.says("out/index.html was not written by refcow");
    let text = fs::read_to_string(place.path("out/index.html")).unwrap();
    assert_eq!(text, "mine");
    assert_eq!(fs::read(place.path("out/run.json")).unwrap(), before);
}

/// Killed at each time that something of a folder changes its name: each file is that of one report
/// or of the other, the document comes last, and the next run has no trouble with what is there.
#[test]
fn a_run_that_is_killed_leaves_each_file_old_or_new() {
    let place = Place::new();
    let [first, second] = two(&place);
    let out = place.path("out");
    let mine = ["charts/mine.svg", "notes.txt"];
    fs::create_dir_all(out.join("charts")).unwrap();
    for name in mine {
        place.file(&format!("out/{name}"), "mine");
    }
    place.run(make(&place, &first.0)).exits_with(0);
    let bytes_in = |all: &[(String, Vec<u8>)], name: &str| {
        let found = all.iter().find(|(other, _)| other == name);
        found.map(|(_, bytes)| bytes.clone())
    };
    let (mut killed, mut mixed) = (0, 0);
    for moment in 1.. {
        let (old, new) = match moment % 2 {
            1 => (&first, &second),
            _ => (&second, &first),
        };
        let events = inotify::init(inotify::CreateFlags::empty()).unwrap();
        for folder in [out.clone(), out.join("charts")] {
            inotify::add_watch(&events, folder, inotify::WatchFlags::MOVED_TO).unwrap();
        }
        let run = place.start(make(&place, &new.0));
        let mut buffer = [const { MaybeUninit::uninit() }; 4 << 10];
        let mut reader = inotify::Reader::new(&events, &mut buffer);
        // Of the manifest at least twice, and of each file once.
        for _ in 0..moment {
            if reader.is_buffer_empty() {
                let mut event = [PollFd::new(&events, PollFlags::IN)];
                let limit = Timespec {
                    tv_sec: 60,
                    tv_nsec: 0,
                };
                let ready = rustix::event::poll(&mut event, Some(&limit)).unwrap();
                assert_eq!(ready, 1, "nothing happens");
            }
            reader.next().unwrap();
        }
        run.signal(Signal::KILL);
        killed += usize::from(run.wait().status.code().is_none());

        let (mut olds, mut news) = (0, 0);
        for (name, _) in old.1.iter().chain(&new.1) {
            let now = fs::read(out.join(name)).ok();
            match (bytes_in(&old.1, name), bytes_in(&new.1, name)) {
                (then, other) if then == other => assert!(now == then, "{name}"),
                (then, _) if now == then => olds += 1,
                (_, other) if now == other => news += 1,
                _ => panic!("{name} is neither old nor new at {moment}"),
            }
        }
        mixed += usize::from(olds > 0 && news > 0);
        let document = fs::read(out.join("run.json")).unwrap();
        if Some(&document) == bytes_in(&new.1, "run.json").as_ref() {
            for (name, bytes) in &new.1 {
                assert!(fs::read(out.join(name)).unwrap() == *bytes, "{name}");
            }
        }
        place.run(make(&place, &new.0)).exits_with(0);
        holds(&place, &new.1, &mine);
        // A file is the last one, and the manifest comes after it.
        if moment > new.1.len().min(old.1.len()) {
            break;
        }
    }
    assert!(killed > 0 && mixed > 0, "killed {killed}, mixed {mixed}");
}

#[rstest]
#[case::pictures(&["--format", "svg"], "time.svg")]
#[case::pages(&[], "index.html")]
#[case::a_document(&[], "run.json")]
#[case::charts(&[], "charts")]
#[case::a_manifest(&[], MANIFEST)]
fn what_the_user_has_at_the_place_of_a_file_is_not_replaced(
    #[case] format: &[&str],
    #[case] name: &str,
) {
    let place = Place::new();
    let [(run, _), _] = two(&place);
    fs::create_dir(place.path("out")).unwrap();
    let path = place.path("out").join(name);
    fs::write(&path, "mine").unwrap();
    let mut command = make(&place, &run);
    command.args(format);
    place
        .run(command)
        .refuses(2, path.to_str().unwrap(), "choose another directory");
    assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    assert_eq!(files(&place.path("out")), [name]);
}

#[test]
fn charts_go_into_the_folder_of_a_report_and_leave_the_rest() {
    let place = Place::new();
    let [(run, all), (other, _)] = two(&place);
    place.run(make(&place, &run)).exits_with(0);
    for document in [&run, &other] {
        let mut command = make(&place, document);
        command.args(["--format", "svg"]);
        place.run(command).exits_with(0);
    }
    for (name, bytes) in &all {
        assert!(fs::read(place.path("out").join(name)).unwrap() == *bytes);
    }
    assert!(place.path("out/time.svg").exists());
    // And the other way round.
    place.run(make(&place, &run)).exits_with(0);
    assert!(place.path("out/time.svg").exists());
}

#[test]
fn a_user_who_may_not_write_to_a_folder_is_told_before_anything_is_measured() {
    let place = Place::new();
    let out = place.path("out");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, PermissionsExt::from_mode(0o555)).unwrap();
    let mut command = match place.measure_as_ordinary_user() {
        Ok(command) => command,
        Err(why) => return skipped("a folder that is read-only", &why),
    };
    command
        .args(["ints", "--count", "10", "--report"])
        .arg(&out);
    place
        .run(command)
        .refuses(2, "Permission denied", "may write to");
    fs::set_permissions(&out, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_folder_that_is_a_mount_point_or_a_link_is_filled() {
    let place = Place::new();
    let [(run, all), _] = two(&place);
    fs::create_dir(place.path("real")).unwrap();
    symlink("real", place.path("out")).unwrap();
    place.run(make(&place, &run)).exits_with(0);
    assert!(place.path("out").is_symlink());
    holds(&place, &all, &[]);

    let point = place.path("point");
    fs::create_dir(&point).unwrap();
    let point = point.to_str().unwrap();
    let mount = format!("mount -t tmpfs none {point}");
    let arguments = ["report", &run, "--output", point];
    match place.refcow_in_mounts(&mount, &arguments) {
        // Twice, the second time over the first.
        Ok(_) => {
            let first = format!("{mount}; \"$@\"; test -e {point}/run.json");
            let twice = place.refcow_in_mounts(&first, &arguments);
            place.run(twice.unwrap()).exits_with(0);
        }
        Err(why) => skipped("a mount point", &why),
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_anything_is_measured() {
    let place = Place::new();
    let out = place.path("no/where");
    let mut arguments: Vec<&str> = ARGUMENTS.to_vec();
    arguments.push(out.to_str().unwrap());
    let finished = place.run(place.measure(arguments)).exits_with(2);
    assert!(
        finished.stderr.contains("cannot write to the directory"),
        "{finished}"
    );
    assert_eq!(finished.stdout, "");
}
