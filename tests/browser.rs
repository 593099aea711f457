//! The page in a browser: `tests/browser/check.mjs` opens it, and each of its checks can fail.
//!
//! It takes node, a Chromium and what `npm ci` puts into `tests/browser/node_modules`:
//! `.ci/browser` makes them ready.

use std::path::Path;
use std::process::Command;

use crate::common::{Place, canned, skipped};
use refcow::model::Report;
use refcow::report;
use rstest::rstest;

const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/check.mjs");
/// A page with everything that is looked for.
const GOOD: &str = include_str!("browser/good.html");

/// What is missing to open a page, if anything is. Where `REFCOW_BROWSER` is 1, nothing may be.
fn cannot_look(test: &str) -> bool {
    let node = Command::new("node").arg("--version").output();
    let modules = Path::new(CHECK).with_file_name("node_modules");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    let missing = if !node.is_ok_and(|node| node.status.success()) {
        "there is no node".to_owned()
    } else if !modules.is_dir() {
        format!("there is no {}: `.ci/browser` makes it", modules.display())
    } else if !Path::new(&chromium).exists() {
        format!("there is no {chromium}, and CHROMIUM names no other")
    } else {
        return false;
    };
    let demanded = std::env::var("REFCOW_BROWSER").is_ok_and(|value| value == "1");
    assert!(!demanded, "{missing}");
    skipped(test, &missing);
    true
}

/// What the check says of a page: the checks that failed, and all of it.
fn failed_checks(page: &str) -> (Vec<String>, String) {
    let place = Place::new();
    let file = place.file("page.html", page);
    let finished = Command::new("node").args([CHECK, &file]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&finished.stdout);
    let all = format!("{said}\n{}", text(&finished.stderr));
    let failed: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("FAILED: "))
        .map(str::to_owned)
        .collect();
    assert!(said.contains("on the console"), "it ended early: {all}");
    let status = if failed.is_empty() { 0 } else { 1 };
    assert_eq!(finished.status.code(), Some(status), "{all}");
    (failed, all)
}

#[test]
fn a_good_page_passes() {
    if cannot_look("a_good_page_passes") {
        return;
    }
    let (failed, all) = failed_checks(GOOD);
    assert!(failed.is_empty(), "{all}");
    let unfolded = "ok: 2 folded parts, 1 of them claims, unfold by keyboard";
    assert!(all.contains(unfolded), "{all}");
}

#[test]
fn the_page_of_a_run_passes() {
    if cannot_look("the_page_of_a_run_passes") {
        return;
    }
    let mut runs = ["3.11.7", "3.12.1"].map(canned::run_with_claims);
    runs.iter_mut().for_each(canned::draw_maps);
    let report = Report::of_all(runs.to_vec(), Vec::new());
    let charts = report::charts::charts(&report).unwrap();
    let page = report::render_html(&report, &charts).unwrap();
    let (failed, all) = failed_checks(std::str::from_utf8(&page).unwrap());
    assert!(failed.is_empty(), "{all}");
    assert!(
        all.contains(", 4 of them claims, unfold by keyboard"),
        "{all}"
    );
}

/// Pages that lack something, each with all checks that must fail, and no other.
#[rstest]
#[case::loud_and_curious(
    &[
        ("</main>", "<img alt='' src='other.png'></main><script>console.warn('careful')</script>"),
        ("@media print", "@media nothing"),
        ("--ink: #e8e8e8", "--ink: #303030"),
    ],
    &["dark, 360 px: axe-core finds nothing serious", "dark, 1200 px: axe-core finds nothing serious", "in print: folded contents are shown",
      "nothing is asked of anybody", "no error or warning on the console"],
)]
#[case::wide_and_out_of_reach(
    &[
        ("<summary>one", "<summary tabindex='-1'>one"),
        ("<p>7,846", "<p style='width: 500px'>7,846"),
        ("<h1>", "<h1 style='width: 400px'>"),
    ],
    &[
        "light, 360 px: no horizontal scroll", "light, 360 px, all unfolded: no horizontal scroll",
        "dark, 360 px: no horizontal scroll", "dark, 360 px, all unfolded: no horizontal scroll",
        "2 folded parts, 1 of them claims, unfold by keyboard",
    ],
)]
#[case::made_by_a_script(
    &[
        ("<main>", "<main hidden>"),
        ("</main>", "</main><script>
            document.querySelector('main').hidden = false;
            document.addEventListener('keydown', (event) => { if (event.key === 'Enter') event.preventDefault(); });
        </script>"),
        ("<p>7,846", "<p style='width: 500px'>7,846"),
    ],
    &[
        "light, 360 px, all unfolded: no horizontal scroll", "dark, 360 px, all unfolded: no horizontal scroll",
        "2 folded parts, 1 of them claims, unfold by keyboard", "without scripts: the contents are there",
    ],
)]
#[case::in_no_language(
    &[("lang=\"en\"", "")],
    &[
        "light, 360 px: axe-core finds nothing serious", "light, 1200 px: axe-core finds nothing serious",
        "dark, 360 px: axe-core finds nothing serious", "dark, 1200 px: axe-core finds nothing serious",
    ],
)]
fn a_bad_page_fails(#[case] changes: &[(&str, &str)], #[case] expected: &[&str]) {
    if cannot_look("a_bad_page_fails") {
        return;
    }
    let mut page = GOOD.to_owned();
    for (from, to) in changes {
        assert!(page.contains(from), "{from}");
        page = page.replace(from, to);
    }
    let (failed, all) = failed_checks(&page);
    assert_eq!(failed, expected, "{all}");
}
