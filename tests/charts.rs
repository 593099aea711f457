//! Charts: each drawn once as text that is looked at, whatever names and figures a report holds.

use std::collections::BTreeSet;

use refcow::model::{
    AfterKill, Alternative, Cause, Contents, Fate, Measurement, PageMap, Receiver, RegionName,
    Report, Run, StartMethod,
};
use refcow::report::charts::{Chart, Kind, charts, css_variables, inline, png};
use rstest::rstest;

use crate::common::canned;

/// A run with a map of each region, and memory after each child.
fn run(version: &str) -> Run {
    let mut run = canned::run(version);
    canned::draw_maps(&mut run);
    for (number, measurement) in (1..).zip(&mut run.measurements) {
        let before = 400 << 20;
        measurement.tree.pss_bytes_before = Some(before);
        let children = 1..=measurement.children.len() as u64;
        measurement.tree.pss_bytes_after_each = children
            .map(|child| before + child * number * (30 << 20))
            .collect();
        measurement.tree.pss_bytes_after = measurement.tree.pss_bytes_after_each.last().copied();
    }
    run
}

/// Two interpreters, one of which has copied more, and lacks a visit.
fn several() -> Report {
    let mut older = run("3.9.18");
    for child in &mut older.measurements[1].children {
        child.regions[0].unshared = 9;
        child.regions[0].map = None;
    }
    older.measurements.remove(3);
    // The newest is not the last.
    Report::of_all(vec![run("3.12.1"), older], Vec::new())
}

fn way(way: &str, contents: Contents, start_method: StartMethod, copied: &[i64]) -> Alternative {
    Alternative {
        way: way.into(),
        title: way.replace('_', " "),
        contents,
        start_method,
        size_bytes: 4 << 20,
        start_seconds: 0.1,
        prepare_seconds: None,
        handover_seconds: 0.2,
        pss_bytes_held: None,
        pss_bytes_read: None,
        writes_seen_by_parent: false,
        writes_seen_by_sibling: None,
        container_survives: false,
        elements_survive: false,
        after_child_killed: AfterKill::Usable,
        left_after_kill: Vec::new(),
        reference_own_pages: 100,
        children: copied
            .iter()
            .map(|&copied_pages| Receiver {
                first_read_seconds: 0.1,
                read_all_seconds: 0.1,
                own_pages: 100,
                copied_pages,
                piped_bytes: None,
            })
            .collect(),
    }
}

fn with_ways() -> Report {
    use Contents::{Bitarrays, Ints};
    use StartMethod::{Fork, Spawn};
    let mut run = run("3.12.1");
    run.alternatives = vec![
        way("list", Ints, Fork, &[4_000, 4_115]),
        way("shared_memory", Ints, Fork, &[63, 60]),
        way("shared_memory", Ints, Spawn, &[-2, -5]),
        way("bitarray", Bitarrays, Fork, &[0, 6]),
    ];
    Report::of(run)
}

fn find(report: &Report, name: &str) -> Chart {
    let all = charts(report).unwrap();
    let names: Vec<_> = all.iter().map(|chart| chart.name.clone()).collect();
    let found = all.into_iter().find(|chart| chart.name == name);
    found.unwrap_or_else(|| panic!("{name}: {names:?}"))
}

#[rstest]
#[case("pages-three_lists", Kind::Pages)]
#[case("pages-shared_numpy-freeze", Kind::Pages)]
#[case("copied", Kind::Copied)]
#[case("versions", Kind::Versions)]
#[case("memory", Kind::Tree)]
#[case("time", Kind::Time)]
fn a_chart_looks_like_this(#[case] name: &str, #[case] kind: Kind) {
    let chart = find(&several(), name);
    assert_eq!(chart.kind, kind);
    snapshot(&chart);
}

#[rstest]
#[case("copied-ints")]
#[case("copied-bitarrays")]
fn ways_to_share_have_a_chart_for_each_content(#[case] name: &str) {
    let chart = find(&with_ways(), name);
    assert_eq!(chart.kind, Kind::Copied);
    snapshot(&chart);
}

fn snapshot(chart: &Chart) {
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("chart_{}", chart.name), format!("{}\n\n{}", chart.alt, chart.svg));
    });
}

#[test]
fn charts_come_in_the_order_of_their_kinds_and_only_of_what_there_is() {
    let kinds = |report: &Report| -> Vec<Kind> {
        let all = charts(report).unwrap();
        assert!(all.is_sorted_by_key(|chart| chart.kind));
        let kinds: BTreeSet<Kind> = all.into_iter().map(|chart| chart.kind).collect();
        kinds.into_iter().collect()
    };
    use Kind::{Copied, Pages, Time, Tree, Versions};
    assert_eq!(kinds(&several()), [Pages, Copied, Versions, Tree, Time]);
    assert_eq!(
        kinds(&Report::of(run("3.12.1"))),
        [Pages, Copied, Tree, Time]
    );
    assert_eq!(kinds(&Report::of(canned::run("3.12.1"))), [Copied, Time]);
    let mut nothing = canned::run("3.12.1");
    nothing.measurements.clear();
    assert!(kinds(&Report::of(nothing)).is_empty());
    assert!(kinds(&Report::of_all(Vec::new(), Vec::new())).is_empty());
}

#[test]
fn headers_turn_and_payload_does_not() {
    let chart = find(&Report::of(run("3.12.1")), "pages-three_lists");
    // refcount, identical: in the legend and in a map. Payload, shared.
    assert!(chart.svg.matches("#C74F00").count() > 1, "{}", chart.svg);
    assert!(chart.svg.contains("#B2D6F4"));
    let said = "iterate: header 121 of 121 copied, 117 identical; spine 0 of 14 copied; payload 0 of 96,027 copied";
    assert!(chart.alt.contains(said), "{}", chart.alt);
}

#[test]
fn many_visits_take_several_charts() {
    let mut run = run("3.12.1");
    let of = run.measurements[2].clone();
    run.measurements = (0..9)
        .map(|number| Measurement {
            visit: format!("visit {number}"),
            ..of.clone()
        })
        .collect();
    let all = charts(&Report::of(run)).unwrap();
    let names = all.iter().map(|chart| &chart.name[..]);
    let names: Vec<_> = names.filter(|name| name.starts_with("pages")).collect();
    let expected = [
        "pages-three_lists",
        "pages-three_lists-2",
        "pages-three_lists-3",
    ];
    assert_eq!(names, expected);
}

#[test]
fn text_can_be_read_at_its_width() {
    for chart in charts(&several()).unwrap() {
        assert!(
            chart.svg.starts_with("<svg width=\"600\" "),
            "{}",
            chart.svg
        );
        assert!(
            chart.svg.len() < 16_384,
            "{}: {}",
            chart.name,
            chart.svg.len()
        );
        for size in chart.svg.split("font-size=\"").skip(1) {
            let size: f64 = size.split('"').next().unwrap().parse().unwrap();
            assert!(size >= 11.0, "{}: {size}", chart.name);
        }
    }
}

#[test]
fn names_of_somebody_elses_are_text_and_nothing_else() {
    let name = "<script>alert(1)</script>&\"'](x)\u{ffff}\u{1}";
    let mut report = several();
    for run in &mut report.runs {
        run.python.version = name.into();
        for measurement in &mut run.measurements {
            measurement.fixture = name.into();
            measurement.visit += name;
            measurement.sharing = name.into();
            measurement.prepare = Some(name.into());
            measurement.arguments = vec![name.into()];
        }
        let mut named = way("list", Contents::Ints, StartMethod::Fork, &[1]);
        named.title = name.into();
        run.alternatives = vec![named];
    }
    let mut names = BTreeSet::new();
    let all = charts(&report).unwrap();
    assert!(all.len() > 4);
    for chart in all {
        for svg in [&chart.svg, &inline(&chart)] {
            assert!(!svg.contains("<script"), "{svg}");
            assert!(svg.contains("&lt;script&gt;"), "{svg}");
            // No parser takes what is no XML.
            png(svg).unwrap();
        }
        let letters = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-' | '_');
        assert!(chart.name.chars().all(letters), "{}", chart.name);
        assert!(names.insert(chart.name));
    }
}

#[test]
fn absurd_figures_make_no_absurd_charts() {
    let mut run = run("3.12.1");
    let mut of = run.measurements[2].clone();
    of.children.truncate(1);
    let child = &mut of.children[0];
    child.visit_seconds = f64::INFINITY;
    for region in &mut child.regions {
        region.pages = 1 << 36;
        let fates = [
            Fate::Shared,
            Fate::Copied {
                cause: Some(Cause::Body),
                identical: None,
            },
        ];
        region.map = (region.name != RegionName::Rest)
            .then(|| PageMap::of(fates.into_iter().cycle().take(20_000)));
    }
    let map = child.regions[0].map.as_mut().unwrap();
    *map = format!("{} 5u", 1u64 << 36)
        .replace(' ', ". ")
        .parse()
        .unwrap();
    of.tree.pss_bytes_before = Some(u64::MAX);
    of.tree.pss_bytes_after_each = vec![u64::MAX, 0, u64::MAX];
    run.measurements = (0..10_000)
        .map(|number| {
            let mut one = of.clone();
            one.visit = format!("visit{number}");
            one.fixture = format!("fixture{}", number / 50);
            one.count = Some(u64::MAX);
            if number > 100 {
                for region in &mut one.children[0].regions {
                    region.map = None;
                }
            }
            match number % 4 {
                0 => one.children[0].visit_seconds = f64::NAN,
                1 => one.children[0].visit_seconds = f64::MAX,
                2 => one.children[0].visit_seconds = -1.0,
                _ => {}
            }
            one
        })
        .collect();
    run.measurements[7].visit = "x".repeat(100_000);
    run.measurements[7].fixture = "w y ".repeat(25_000);
    run.measurements[0].fixture = "W".repeat(100_000);
    let mut other = run.clone();
    other.python.version = "9".repeat(100_000);
    other.alternatives = (0..1_000)
        .map(|number| {
            let pages = if number % 2 == 0 { 1 << 36 } else { -(1 << 36) };
            way(
                &"long_".repeat(1_000),
                Contents::Ints,
                StartMethod::Fork,
                &[pages],
            )
        })
        .collect();
    for runs in [vec![run.clone()], vec![run, other]] {
        let all = charts(&Report::of_all(runs, Vec::new())).unwrap();
        assert!(all.len() <= 60, "{}", all.len());
        let sum: usize = all.iter().map(|one| one.svg.len() + one.alt.len()).sum();
        assert!(sum < 2 << 20, "{sum}");
        for chart in &all {
            assert!(
                chart.svg.len() < 150_000,
                "{}: {}",
                chart.name,
                chart.svg.len()
            );
            assert!(
                chart.title.len() < 1_000 && chart.alt.len() < 20_000,
                "{}",
                chart.name
            );
        }
        let widest = all.iter().max_by_key(|chart| chart.svg.len());
        png(&widest.unwrap().svg).unwrap();
    }
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    let first = charts(&several()).unwrap();
    assert_eq!(first, charts(&several()).unwrap());
    assert_eq!(png(&first[0].svg).unwrap(), png(&first[0].svg).unwrap());
}

#[test]
fn a_picture_is_the_chart_twice_as_large() {
    let chart = find(&several(), "copied");
    let bytes = png(&chart.svg).unwrap();
    let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.width, 1_200);
    // White behind, and dark where there are letters: a font was found.
    assert_eq!(pixels[..3], [255, 255, 255]);
    let title = &pixels[..60 * 1_200 * 3];
    let dark = title.chunks(3).filter(|pixel| pixel[0] < 0x40).count();
    assert!(dark > 500, "{dark}");
    assert!(png("<svg").is_err());
}

#[test]
fn a_chart_in_a_page_has_its_colours_and_ids() {
    let mut ids = BTreeSet::new();
    let (light, dark) = css_variables();
    for chart in charts(&several()).unwrap() {
        let svg = inline(&chart);
        assert!(svg.starts_with("<svg "));
        for part in svg.split(" id=\"").skip(1) {
            let id = part.split('"').next().unwrap().to_owned();
            assert!(ids.insert(id.clone()), "{id}");
        }
        assert!(svg.contains("role=\"img\"") && svg.contains("<title id=\""));
        for attribute in ["fill=\"", "stroke=\""] {
            for value in svg.split(attribute).skip(1) {
                let value = value.split('"').next().unwrap();
                if value == "none" {
                    continue;
                }
                let name = value
                    .strip_prefix("var(")
                    .and_then(|rest| rest.split(',').next());
                let name = name.unwrap_or_else(|| panic!("{}: {value}", chart.name));
                for declared in [&light, &dark] {
                    assert!(declared.contains(&format!("{name}: #")), "{name}");
                }
            }
        }
    }
    assert!(ids.len() > 10);
}
