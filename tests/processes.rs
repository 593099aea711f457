//! Processes that a visit starts: each that is forked is followed to its end, what cannot be is
//! said, and one that is left behind is found wherever it went. And what happens on the way from
//! the fork to the visit.

use std::process::Command;

use nix::unistd::geteuid;
use refcow::model::{Child, Processes, RegionName, Run, Warning};
use refcow::observe::page_size;
use rstest::rstest;

use crate::common::{Place, REFCOW, by_python, run};

const FORKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/forks.py");
const DUE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/due.py");

/// Pages of the data that a fork's own steps may write to: objects that they use, or make, have
/// pages in common with the data's.
const NOISE: u64 = 8;

fn arguments<'a>(python: &'a str, visits: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["measure", FORKS, "--children", "1", "--python", python];
    for visit in visits {
        arguments.extend(["--visit", visit]);
    }
    arguments.extend(["--format", "json"]);
    arguments
}

/// As root, if the tests run as root, or without the privilege that shows frame numbers.
fn measured(python: &str, visits: &[&str], privileged: bool) -> Run {
    let arguments = arguments(python, visits);
    let mut command = match privileged {
        true => Command::new(REFCOW),
        false => {
            let mut without = Command::new("setpriv");
            without.args(["--bounding-set=-sys_admin", REFCOW]);
            without
        }
    };
    command.args(arguments);
    let output = run::output(&mut command);
    run::the_run(&run::succeeded("refcow measure", output))
}

fn child<'a>(run: &'a Run, visit: &str) -> &'a Child {
    let mut all = run.measurements.iter();
    &all.find(|one| one.visit == visit).unwrap().children[0]
}

/// Pages that each followed process has copied of the region.
fn copied(processes: &Processes, region: RegionName) -> Vec<u64> {
    let followed = processes.followed.iter();
    let of = followed.map(|one| {
        let mut regions = one.regions.iter();
        regions
            .find(|one| one.region == region)
            .map_or(0, |one| one.pages)
    });
    of.collect()
}

#[rstest]
fn each_process_of_a_visit_is_followed_to_its_end(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
    #[values(true, false)] privileged: bool,
) {
    if !privileged && !geteuid().is_root() {
        eprintln!("skipped: they have no privilege anyway");
        return;
    }
    by_python::each_build(series, "processes", |interpreter| {
        let visits = [
            ("one_by_one", vec![1, 1, 1]),
            ("side_by_side", vec![1, 1, 1]),
            // The one that only waits has ended after the one that reads.
            ("nested", vec![0, 1]),
            ("from_a_thread", vec![1]),
            ("killed", vec![1]),
            ("nobody_waits", vec![1]),
            ("pool", vec![1, 1]),
        ];
        let names: Vec<_> = visits.iter().map(|(name, _)| *name).collect();
        let run = measured(
            by_python::path(interpreter),
            &[&["direct"], &names[..]].concat(),
            privileged,
        );
        let direct = child(&run, "direct");
        assert_eq!(direct.processes, None);
        let all = direct.region(RegionName::Header).unwrap().unshared;
        let bytes = all * page_size();
        for (visit, reads) in visits {
            let child = child(&run, visit);
            let processes = child
                .processes
                .as_ref()
                .unwrap_or_else(|| panic!("{visit}"));
            assert_eq!(processes.number, reads.len() as u64, "{visit}");
            assert_eq!(processes.not_followed, None, "{visit}");
            let headers = copied(processes, RegionName::Header);
            assert_eq!(headers.len(), reads.len(), "{visit}");
            let sum: u64 = headers.iter().sum();
            let wanted = all * reads.iter().sum::<u64>();
            if visit == "pool" {
                // Who gets which part is chance; together they read all, and each that reads all
                // copies all.
                assert!(headers.iter().all(|one| *one <= all + NOISE), "{headers:?}");
                assert!(sum >= all, "{headers:?}");
            } else {
                for (header, reads) in headers.iter().zip(&reads) {
                    let wanted = all * reads;
                    assert!(
                        (wanted..=wanted + NOISE).contains(header),
                        "{visit}: {headers:?}, {all}"
                    );
                }
                assert!(sum >= wanted);
            }
            // The child that is counted has read nothing itself, but a pool takes more objects that
            // lie beside the data's.
            let own = child.region(RegionName::Header).unwrap().unshared;
            assert!(
                own <= if visit == "pool" { all / 10 } else { NOISE },
                "{visit}: {own}"
            );
            let peak = processes.peak_bytes.unwrap();
            let at_once = if visit == "side_by_side" { 3 } else { 1 };
            assert!(peak >= at_once * bytes, "{visit}: {peak}");
            assert!(
                visit == "pool" || peak < (at_once + 1) * bytes,
                "{visit}: {peak}"
            );
        }
    });
}

#[test]
fn what_runs_another_program_is_said_and_not_followed() {
    let run = measured(crate::common::python(), &["direct", "program"], true);
    let all = child(&run, "direct").region(RegionName::Header).unwrap();
    let processes = child(&run, "program").processes.as_ref().unwrap();
    assert_eq!(processes.number, 3, "{processes:?}");
    let headers = copied(processes, RegionName::Header);
    assert_eq!(headers.len(), 1);
    assert!(headers[0] >= all.unshared);
    let said = processes.not_followed.as_deref().unwrap();
    assert!(
        said.starts_with("2 ran another program (") && said.contains("sleep"),
        "{said}"
    );
}

#[rstest]
fn a_process_that_is_left_behind_is_found_wherever_it_is(
    #[values("behind_a_program", "in_a_session_of_its_own", "adopted_elsewhere")] visit: &str,
    #[values(true, false)] privileged: bool,
) {
    let place = Place::new();
    let mut command = place.measure([FORKS, "--visit", visit]);
    if !privileged {
        if !geteuid().is_root() {
            return;
        }
        let mut without = Command::new("setpriv");
        without
            .args(["--bounding-set=-sys_admin"])
            .arg(command.get_program());
        without.args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            without.current_dir(folder);
        }
        without.env_clear();
        let set = command.get_envs();
        without.envs(std::env::vars_os());
        without.envs(set.filter_map(|(name, value)| Some((name, value?))));
        command = without;
    }
    place.run(command).refuses(
        3,
        "that the child forked during its visit is still alive",
        "let the visit wait for it",
    );
    place.nothing_remains();
}

#[rstest]
fn a_collection_on_the_way_is_told_of_and_its_pages_stay_in_their_region(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "on the way", |interpreter| {
        let look = |due: u32, visit: &str| {
            let due = format!("due={due}");
            let python = by_python::path(interpreter);
            run::measure(&[
                DUE,
                "--set",
                &due,
                "--visit",
                visit,
                "--children",
                "2",
                "--python",
                python,
            ])
        };
        let header = |child: &Child| {
            let region = child.region(RegionName::Header).unwrap();
            let mut on_the_way = child.copied_on_the_way.iter();
            let on_the_way = on_the_way.find(|one| one.region == RegionName::Header);
            (
                region.pages,
                region.unshared,
                on_the_way.map_or(0, |one| one.pages),
            )
        };
        let is_told = |run: &Run| {
            let mut warnings = run.warnings.iter();
            warnings.any(|one| matches!(one, Warning::CopiedOnTheWay { .. }))
        };
        let never = look(1_000_000, "look");
        assert!(!is_told(&never));
        let (pages, unshared, none) = header(child(&never, "look"));
        // A page that holds only the end of an object, or memory of the interpreter, has no count.
        let is_all = |copied: u64, of: u64| copied <= of && of - copied <= 3;
        assert!(
            is_all(unshared, pages) && none == 0,
            "{unshared} of {pages}, {none}"
        );
        let mut told = 0;
        for due in [3, 6, 10, 20] {
            let run = look(due, "look");
            for child in &run.measurements[0].children {
                let (of, unshared, on_the_way) = header(child);
                // Which pages the fork's own steps write to may depend on what was collected
                // before.
                assert!(of.abs_diff(pages) <= 2, "{due}: {of}, {pages}");
                assert!(
                    is_all(unshared + on_the_way, of),
                    "{due}: {unshared} + {on_the_way} of {of}"
                );
                assert_eq!(on_the_way > 0, is_told(&run), "{due}");
                told += u64::from(on_the_way > pages / 2);
            }
            let idle = look(due, "idle");
            for child in &idle.measurements[0].children {
                assert_eq!(child.totals().unshared, 0);
            }
        }
        assert!(told > 0);
    });
}
