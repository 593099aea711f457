//! Folders in which the user has files, and which others write to.

use std::os::unix::fs::symlink;

use rstest::rstest;
use rustix::fs::inotify;

use super::*;

const KIND: FolderKind = FolderKind {
    folders: &["charts"],
    has: |name| ["a", "b", "last", "charts/c", "charts/d"].contains(&name),
};

/// All of a report of three files.
const NAMES: [&str; 3] = ["a", "charts/c", "last"];

fn files(names: &[&str], text: &str) -> Vec<(String, Vec<u8>)> {
    let all = names.iter();
    all.map(|name| ((*name).to_owned(), format!("{text} {name}").into_bytes()))
        .collect()
}

fn write(place: &Path, names: &[&str], text: &str) -> Result<(), OutputError> {
    ReportFolder::open(place, KIND)?.write(&files(names, text))
}

/// All names in a folder and in those in it, sorted, but for the manifest.
fn names(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => {
                let inside = names(&entry.path());
                all.push(format!("{name}/"));
                all.extend(inside.iter().map(|file| format!("{name}/{file}")));
            }
            false if name == NAME => {}
            false => all.push(name),
        }
    }
    all.sort_unstable();
    all
}

fn text(place: &Path, name: &str) -> String {
    fs::read_to_string(place.join(name)).unwrap()
}

#[test]
fn a_report_replaces_an_older_one_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("out");
    write(&place, &["a", "b", "charts/c", "last"], "first").unwrap();
    for mine in ["mine", "charts/mine", ".refcow-mine"] {
        fs::write(place.join(mine), "mine").unwrap();
    }
    write(&place, &["a", "charts/d", "last"], "second").unwrap();
    let now = [
        ".refcow-mine",
        "a",
        "charts/",
        "charts/d",
        "charts/mine",
        "last",
        "mine",
    ];
    assert_eq!(names(&place), now);
    assert_eq!(text(&place, "a"), "second a");
    // A folder that is empty is gone, and one that is not stays.
    write(&place, &["last"], "third").unwrap();
    assert_eq!(
        names(&place),
        [".refcow-mine", "charts/", "charts/mine", "last", "mine"]
    );
    fs::remove_file(place.join("charts/mine")).unwrap();
    write(&place, &["charts/c", "last"], "fourth").unwrap();
    write(&place, &["last"], "fifth").unwrap();
    assert_eq!(names(&place), [".refcow-mine", "last", "mine"]);
    assert_eq!(names(root.path()).len(), 1 + 3);
}

#[test]
fn the_manifest_comes_first_and_the_last_file_last_and_then_the_older_ones_go() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path();
    write(place, &["a", "b", "charts/c", "last"], "first").unwrap();
    let events = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let flags = inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE
        | inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::DELETE_SELF;
    for folder in ["", "charts"] {
        inotify::add_watch(&events, place.join(folder), flags).unwrap();
    }
    let folder = ReportFolder::open(place, KIND).unwrap();
    folder
        .write(&files(&["a", "charts/d", "last"], "second"))
        .unwrap();
    let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 16 << 10];
    let mut reader = inotify::Reader::new(&events, &mut buffer);
    let mut seen = Vec::new();
    while let Ok(event) = reader.next() {
        let Some(name) = event.file_name().map(|name| name.to_str().unwrap()) else {
            continue;
        };
        // Drafts come and go.
        if !name.starts_with(".refcow-") {
            seen.push(match event.events() {
                inotify::ReadFlags::MOVED_TO => name.to_owned(),
                inotify::ReadFlags::DELETE => format!("no {name}"),
                other => format!("{other:?} of {name}"),
            });
        }
    }
    assert_eq!(seen, [NAME, "a", "d", "last", "no b", "no c", NAME]);
}

#[rstest]
#[case::a_file("a", |path: &Path| fs::write(path, "mine"), "a")]
#[case::an_edited_file("last", |path: &Path| fs::write(path, "first lasT"), "last")]
#[case::a_file_in_a_folder("charts/d", |path: &Path| fs::write(path, "mine"), "charts/d")]
#[case::a_folder("b", |path: &Path| fs::create_dir(path), "b")]
#[case::a_link("b", |path: &Path| symlink("/dev/null", path), "b")]
#[case::a_link_to_nothing("b", |path: &Path| symlink("nothing", path), "b")]
#[case::a_link_to_what_refcow_wrote("last", |path: &Path| {
    fs::rename(path, path.with_file_name("x")).and_then(|()| symlink("x", path))
}, "last")]
#[case::a_pipe("b", |path: &Path| Ok(nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU)?), "b")]
fn what_is_the_users_is_found_before_anything_is_written(
    #[case] name: &str,
    #[case] make: fn(&Path) -> io::Result<()>,
    #[case] named: &str,
    #[values(false, true)] later: bool,
) {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("out");
    let older = match name {
        "a" => &["charts/c", "last"][..],
        _ => &NAMES[..],
    };
    write(&place, older, "first").unwrap();
    // While something is measured, too.
    let opened = later.then(|| ReportFolder::open(&place, KIND).unwrap());
    make(&place.join(name)).unwrap();
    let before = names(&place);
    let all = files(&["a", "b", "charts/c", "charts/d", "last"], "second");
    let error = match opened {
        Some(folder) => folder.write(&all).unwrap_err(),
        None => ReportFolder::open(&place, KIND).unwrap_err(),
    };
    assert!(
        matches!(&error, OutputError::Occupied { path } if *path == place.join(named)),
        "{error}"
    );
    assert_eq!(names(&place), before);
    for name in older.iter().filter(|older| **older != name) {
        assert_eq!(text(&place, name), format!("first {name}"));
    }
}

#[test]
fn a_folder_in_it_that_is_a_link_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let (place, mine) = (root.path().join("out"), root.path().join("mine"));
    for folder in [&place, &mine] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(mine.join("x"), "mine").unwrap();
    symlink(&mine, place.join("charts")).unwrap();
    let error = write(&place, &NAMES, "first").unwrap_err();
    assert!(matches!(error, OutputError::Occupied { .. }), "{error}");
    assert_eq!(names(&mine), ["x"]);
    assert_eq!(names(&place), ["charts"]);
}

#[test]
fn what_the_user_has_edited_stays_though_the_new_report_has_it_no_more() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("out");
    write(&place, &NAMES, "first").unwrap();
    let folder = ReportFolder::open(&place, KIND).unwrap();
    // Of the same length.
    fs::write(place.join("charts/c"), "First charts/c").unwrap();
    folder.write(&files(&["a", "last"], "second")).unwrap();
    assert_eq!(text(&place, "charts/c"), "First charts/c");
    assert_eq!(text(&place, "a"), "second a");
}

/// A manifest in which these are refcow's as they are now.
fn claim(place: &Path, names: &[&str]) {
    let files = names.iter().map(|name| {
        let bytes = fs::read(place.join(name)).unwrap_or_default();
        ((*name).to_owned(), vec![Content::of(&bytes)])
    });
    Manifest::of(files.collect()).write(place).unwrap();
}

#[test]
fn a_manifest_that_somebody_has_edited_gives_nothing_away() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("out");
    fs::create_dir_all(place.join("charts")).unwrap();
    let outside = root.path().join("outside");
    for path in [&outside, &place.join("mine"), &place.join("charts/mine")] {
        fs::write(path, "mine").unwrap();
    }
    fs::create_dir(place.join("b")).unwrap();
    symlink(&outside, place.join("charts/c")).unwrap();
    let absolute = outside.to_str().unwrap();
    let all = [
        "../outside",
        absolute,
        "mine",
        "charts/mine",
        "charts/../../outside",
        "",
        ".",
        "b",
        "charts",
        "charts/c",
    ];
    claim(&place, &all);
    let before = names(&place);
    // What is in the way is so still.
    ReportFolder::open(&place, KIND).unwrap_err();
    let folder = ReportFolder {
        path: place.clone(),
        kind: KIND,
    };
    folder.write(&files(&["a", "last"], "first")).unwrap();
    let mut after = names(&place);
    after.retain(|name| name != "a" && name != "last");
    assert_eq!(after, before);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
}

#[rstest]
#[case::no_json(|path: &Path| fs::write(path, "mine"), "line 1")]
#[case::of_other_shape(|path: &Path| fs::write(path, "{\"files\": 1}"), "line 1")]
#[case::of_a_later_refcow(|path: &Path| {
    let mut manifest = serde_json::to_value(Manifest::of(BTreeMap::new())).unwrap();
    manifest["version"] = 2.into();
    fs::write(path, manifest.to_string())
}, "another version")]
#[case::too_long(|path: &Path| fs::write(path, " ".repeat(2 << 20)), "too long")]
#[case::a_folder(|path: &Path| fs::create_dir(path), "no regular file")]
#[case::a_link(|path: &Path| symlink("mine", path), "no regular file")]
#[case::a_pipe(|path: &Path| Ok(nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU)?), "no regular file")]
fn what_is_no_manifest_is_refused(#[case] make: fn(&Path) -> io::Result<()>, #[case] why: &str) {
    let root = tempfile::tempdir().unwrap();
    make(&root.path().join(NAME)).unwrap();
    let error = write(root.path(), &NAMES, "first").unwrap_err();
    assert!(matches!(error, OutputError::Manifest { .. }), "{error}");
    assert!(error.to_string().contains(why), "{error}");
    assert!(names(root.path()).len() <= 1);
}

#[test]
fn files_of_another_kind_in_the_manifest_stay() {
    const OTHER: FolderKind = FolderKind {
        folders: &[],
        has: |name| name.starts_with("other"),
    };
    let root = tempfile::tempdir().unwrap();
    let write_other = |text: &str| {
        let folder = ReportFolder::open(root.path(), OTHER).unwrap();
        folder.write(&files(&["other"], text)).unwrap();
    };
    write(root.path(), &NAMES, "first").unwrap();
    write_other("second");
    write(root.path(), &["last"], "third").unwrap();
    write_other("fourth");
    assert_eq!(names(root.path()), ["last", "other"]);
    assert_eq!(text(root.path(), "other"), "fourth other");
}

/// As a run has left a folder that was killed before it had written so many of its files.
#[rstest]
fn a_run_that_was_killed_is_no_matter_for_the_next(#[values(0, 1, 2, 3)] written: usize) {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("out");
    write(&place, &["a", "b", "charts/c", "last"], "first").unwrap();
    let folder = ReportFolder::open(&place, KIND).unwrap();
    let second = files(&["a", "charts/d", "last"], "second");
    let before = Manifest::read(&place).unwrap();
    let after = folder.manifest(&before, &second).unwrap();
    before.and(&after).write(&place).unwrap();
    for (name, bytes) in &second[..written] {
        fs::write(place.join(name), bytes).unwrap();
    }
    for (name, _) in &second[written..] {
        let path = place.join(name);
        let mut draft = Draft::beside(&path).unwrap();
        draft.fill(b"half").unwrap();
        draft.abandon();
    }
    write(&place, &NAMES, "third").unwrap();
    assert_eq!(names(&place), ["a", "charts/", "charts/c", "last"]);
    for name in NAMES {
        assert_eq!(text(&place, name), format!("third {name}"));
    }
}

#[test]
fn of_two_reports_at_a_time_one_is_there_in_the_end_and_whole() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("out");
    std::thread::scope(|threads| {
        for name in ["one", "two", "three"] {
            let place = &place;
            threads.spawn(move || {
                for _ in 0..8 {
                    write(place, &NAMES, name).unwrap();
                }
            });
        }
    });
    let all = NAMES.map(|name| text(&place, name).replace(name, ""));
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    assert_eq!(names(&place), ["a", "charts/", "charts/c", "last"]);
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("out");
    const ANY: FolderKind = FolderKind {
        folders: &[],
        has: |_| true,
    };
    drop(ReportFolder::open(&place, ANY).unwrap());
    assert!(names(root.path()).is_empty());
    let folder = ReportFolder::open(&place, ANY).unwrap();
    // A name that is too long for a file.
    let wrong = "x".repeat(300);
    folder
        .write(&files(&["a", "sub/b", &wrong], "first"))
        .unwrap_err();
    assert!(names(root.path()).is_empty());
}

#[test]
fn a_link_to_a_folder_stays_and_what_is_no_folder_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir(path("real")).unwrap();
    symlink("real", path("link")).unwrap();
    write(&path("link"), &NAMES, "first").unwrap();
    assert!(path("link").is_symlink());
    assert_eq!(text(&path("real"), "last"), "first last");
    symlink("nothing", path("nowhere")).unwrap();
    symlink("round", path("round")).unwrap();
    fs::write(path("file"), "mine").unwrap();
    for (name, why) in [
        ("nowhere", "something that does not exist"),
        ("round", "symbolic links"),
        ("file", "directory"),
        ("no/where", "No such file"),
        ("file/in", "directory"),
    ] {
        let error = write(&path(name), &NAMES, "first").unwrap_err();
        assert!(
            error
                .to_string()
                .to_lowercase()
                .contains(&why.to_lowercase()),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "mine");
}
