//! Huge pages, as the user's own program would have them: what the kernel makes of shared pages is
//! a copy with a cause of its own.

use std::fs;

use refcow::model::{Cause, Causes, RegionName, Run, Warning};

use crate::common::run;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/collapses.py");
/// Pages of 4 KiB in one of 2 MiB.
const HUGE: u64 = 512;

fn measured(more: &[&str]) -> Run {
    run::measure(&[&[FILE, "--children", "1"], more].concat())
}

fn payload(run: &Run, visit: &str) -> Causes {
    let child = &run::visit(run, "collapses", visit).children[0];
    let region = child.region(RegionName::Payload).unwrap();
    let causes = region.causes.unwrap();
    assert_eq!(causes.sum(), region.unshared, "{visit}");
    causes
}

/// Why nobody can make huge pages here at once, or see them.
fn cannot_collapse() -> Option<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let enabled = read("/sys/kernel/mm/transparent_hugepage/enabled");
    let size = read("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    if !["[always]", "[madvise]"]
        .iter()
        .any(|chosen| enabled.contains(chosen))
    {
        return Some(format!("transparent huge pages: {enabled:?}"));
    }
    if size.trim() != "2097152" {
        return Some(format!("a huge page has {size:?} bytes"));
    }
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release
        .split('.')
        .map(|number| number.parse::<u64>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (version < (6, 7)).then(|| format!("Linux {release}, and PAGEMAP_SCAN came with 6.7"))
}

#[test]
fn a_page_that_the_kernel_put_into_a_huge_one_is_khugepageds_copy() {
    let test = "a_page_that_the_kernel_put_into_a_huge_one_is_khugepageds_copy";
    if crate::common::cannot_record(test) {
        return;
    }
    if let Some(why) = cannot_collapse() {
        return crate::common::skipped(test, &why);
    }
    let run = measured(&["--huge-pages", "keep"]);
    assert!(!run.environment.transparent_huge_pages.disabled_in_subject);
    assert_eq!(run.calibration.pages_counted, run.calibration.pages_written);
    let causes = |visit| {
        let causes = payload(&run, visit);
        (causes.khugepaged, causes.buffer, causes.kernel)
    };
    assert_eq!(causes("collapse"), (HUGE, 0, 0));
    // What was written before was copied by the write.
    assert_eq!(causes("write_first"), (HUGE - 8, 8, 0));
    // What the kernel does for a system call stays the kernel's.
    assert_eq!(causes("read_in"), (0, 0, 20));
    assert_eq!(causes("write_some"), (0, 8, 0));
    assert_eq!(payload(&run, "idle").sum(), 0);
    let child = &run::visit(&run, "collapses", "collapse").children[0];
    let group = child
        .written
        .iter()
        .find(|one| one.cause == Cause::Khugepaged);
    let group = group.unwrap();
    assert_eq!((group.pages, group.identical), (HUGE, Some(HUGE)));
    assert_eq!((&group.function, &group.of_type), (&None, &None));
}

#[test]
fn of_a_huge_page_that_parent_and_child_share_a_write_copies_one_page() {
    let test = "of_a_huge_page_that_parent_and_child_share_a_write_copies_one_page";
    if crate::common::cannot_record(test) {
        return;
    }
    if let Some(why) = cannot_collapse() {
        return crate::common::skipped(test, &why);
    }
    let set = ["--set", "advised=True"];
    let visits = [
        "--visit",
        "idle",
        "--visit",
        "write_some",
        "--visit",
        "read_in",
    ];
    let counted = |huge_pages| {
        let run = measured(&[&set[..], &visits, &["--huge-pages", huge_pages]].concat());
        let causes = ["idle", "write_some", "read_in"].map(|visit| payload(&run, visit));
        let huge = |warning: &Warning| matches!(warning, Warning::HugePagesInSubject { .. });
        assert!(!run.warnings.iter().any(huge), "{:?}", run.warnings);
        causes
    };
    let kept = counted("keep");
    assert_eq!(kept.map(|causes| causes.sum()), [0, 8, 20]);
    assert_eq!((kept[1].buffer, kept[2].kernel), (8, 20));
    assert_eq!(counted("off"), kept);
}

#[test]
fn a_machine_without_huge_pages_is_said_to_have_none_to_keep() {
    let test = "a_machine_without_huge_pages_is_said_to_have_none_to_keep";
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let is_moot = !enabled.is_ok_and(|text| !text.contains("[never]"));
    let run = measured(&["--visit", "idle", "--huge-pages", "keep"]);
    let warned = |warning: &Warning| matches!(warning, Warning::NoHugePagesToKeep { .. });
    if nix::sys::prctl::get_thp_disable().unwrap() {
        return crate::common::skipped(test, "whoever started the tests turned huge pages off");
    }
    assert_eq!(run.warnings.iter().any(warned), is_moot);
}
