//! Charts: each drawn once as text that is looked at, whatever names and figures a report holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use refcow::model::{
    AfterKill, Alternative, Cause, Contents, Fate, Measurement, PageMap, Receiver, RegionName,
    Report, Run, StartMethod,
};
use refcow::report::charts::{Chart, ChartKind, charts, css_variables, inline, png};
use rstest::rstest;

use crate::common::{canned, ways};

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
        memory_bytes_held: None,
        memory_bytes_read: None,
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
#[case("pages-three_lists", ChartKind::Pages)]
#[case("pages-shared_numpy-freeze", ChartKind::Pages)]
#[case("copied", ChartKind::Copied)]
#[case("versions", ChartKind::Versions)]
#[case("memory-three_lists", ChartKind::Tree)]
#[case("time", ChartKind::Time)]
fn a_chart_looks_like_this(#[case] name: &str, #[case] kind: ChartKind) {
    let chart = find(&several(), name);
    assert_eq!(chart.kind, kind);
    snapshot(&chart);
}

#[rstest]
#[case("copied-ints")]
#[case("copied-bitarrays")]
fn ways_to_share_have_a_chart_for_each_content(#[case] name: &str) {
    let chart = find(&with_ways(), name);
    assert_eq!(chart.kind, ChartKind::Copied);
    snapshot(&chart);
}

#[test]
fn memory_against_workers_is_drawn_as_measured_and_beyond_that_as_supposed() {
    let mut run = canned::run("3.12.1");
    run.measurements.clear();
    run.own_data = vec![ways::own_data()];
    let chart = find(&Report::of(run), "workers-loader-epoch");
    assert_eq!(chart.kind, ChartKind::Workers);
    // 12 MiB shared, 3 the parent's, 2 and a page table for each worker.
    let said = "inherited: 23.2 MiB, about 31.5 MiB with 8, off by 0.0 % at 4";
    assert!(chart.alt.contains(said), "{}", chart.alt);
    // Of two points no line is wrong.
    let two = "args, spawn: 33.1 MiB, about 51.2 MiB with 4, no point was kept back";
    assert!(chart.alt.contains(two), "{}", chart.alt);
    assert_eq!(chart.svg.matches("stroke-dasharray").count(), 5);
    snapshot(&chart);
}

fn snapshot(chart: &Chart) {
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("chart_{}", chart.name), format!("{}\n\n{}", chart.alt, chart.svg));
    });
}

#[test]
fn charts_come_in_the_order_of_their_kinds_and_only_of_what_there_is() {
    let kinds = |report: &Report| -> Vec<ChartKind> {
        let all = charts(report).unwrap();
        assert!(all.is_sorted_by_key(|chart| chart.kind));
        let kinds: BTreeSet<ChartKind> = all.into_iter().map(|chart| chart.kind).collect();
        kinds.into_iter().collect()
    };
    use ChartKind::{Copied, Pages, Time, Tree, Versions};
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
    // refcount, identical: in the legend, in a bar and in a map. Payload, shared.
    assert!(chart.svg.matches("#DE3C09").count() > 2, "{}", chart.svg);
    assert!(chart.svg.contains("#D1D9E5"));
    let said = "iterate: header 121 of 121 copied, 117 identical; spine 0 of 14 copied; payload 0 of 96,027 copied";
    assert!(chart.alt.contains(said), "{}", chart.alt);
}

/// The pixels of a chart's picture, two of them for one of the drawing's each way.
struct Picture {
    wide: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    fn of(chart: &Chart) -> Self {
        let bytes = png(&chart.svg).unwrap();
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let wide = reader.next_frame(&mut bytes).unwrap().width as usize;
        let pixels = bytes.chunks(3).map(|pixel| pixel.try_into().unwrap());
        Self {
            wide,
            pixels: pixels.collect(),
        }
    }

    /// How many pixels of each colour there are in a part of the drawing, but for what is behind.
    fn colours(&self, across: Range<usize>, down: Range<usize>) -> BTreeMap<[u8; 3], u64> {
        let mut colours = BTreeMap::new();
        for line in 2 * down.start..2 * down.end {
            for pixel in &self.pixels[line * self.wide..][2 * across.start..2 * across.end] {
                *colours.entry(*pixel).or_default() += 1;
            }
        }
        colours.remove(&[255, 255, 255]);
        colours
    }
}

/// Where a text stands in a drawing, each time that it does.
fn places(svg: &str, text: &str) -> Vec<(usize, usize)> {
    let all = svg.split("<text ").skip(1).filter(|one| {
        let words = one.split(['>', '<']).nth(1).unwrap().trim();
        words.replace('\u{a0}', " ") == text
    });
    let number = |one: &str, name: &str| {
        let value = one.split(&format!("{name}=\"")).nth(1).unwrap();
        value.split('"').next().unwrap().parse().unwrap()
    };
    all.map(|one| (number(one, "x"), number(one, "y")))
        .collect()
}

/// Data with these maps, visited once by one child.
fn mapped(maps: &[(RegionName, &str)]) -> Report {
    let mut run = run("3.12.1");
    let mut one = run.measurements[2].clone();
    one.children.truncate(1);
    one.children[0].regions = maps
        .iter()
        .map(|(name, map)| {
            let map: PageMap = map.parse().unwrap();
            let shared = map.sum(|fate| fate == Fate::Shared);
            refcow::model::Region {
                name: *name,
                pages: map.pages(),
                unshared: map.pages() - shared,
                identical: None,
                causes: None,
                map: Some(map),
            }
        })
        .collect();
    run.measurements = vec![one];
    Report::of(run)
}

/// `times` stretches one after the other.
fn repeated(stretch: &str, times: usize) -> String {
    vec![stretch; times].join(" ")
}

#[rstest]
#[case::a_fifth_here_and_there(0, &repeated("4. 1r=", 2_041))]
#[case::a_quarter_in_one(1, &"2552r! 7655.".to_owned())]
#[case::one_of_many(2, &"96026. 1g!".to_owned())]
#[case::one_of_each_square(3, &repeated("150. 1b=", 640))]
#[case::several_fates(4, &repeated("3. 1r= 2r! 1w 5g", 900))]
#[case::all(5, &"10207f!".to_owned())]
#[case::none(6, &"10207.".to_owned())]
#[case::a_page(7, &"1k".to_owned())]
fn coloured_area_is_to_area_as_copied_pages_to_pages(#[case] turn: usize, #[case] of_first: &str) {
    use RegionName::{Header, Native, Payload, Segment, Spine};
    // Each case gives every region another of these maps.
    let regions = [Header, Spine, Payload, Native, Segment];
    let maps = [of_first, "120r= 1.", "14.", "3a 4000. 2000a!", "777r= 999."];
    let mut maps: Vec<(RegionName, &str)> = (0..5)
        .map(|place| (regions[place], maps[(place + turn) % 5]))
        .collect();
    maps.retain(|(_, map)| !map.is_empty());
    let report = mapped(&maps);
    let chart = find(&report, "pages-three_lists");
    let picture = Picture::of(&chart);
    let &[(_, bar), (lane, _)] = &places(&chart.svg, "iterate")[..] else {
        panic!("{}", chart.svg);
    };
    let regions = &report.runs[0].measurements[0].children[0].regions;
    for region in regions {
        let (_, top) = places(&chart.svg, region.name.as_str())[0];
        let count = refcow::report::count;
        let words = format!(
            "{} of {} copied",
            count(region.unshared),
            count(region.pages)
        );
        let below = places(&chart.svg, &words);
        let below = below
            .iter()
            .map(|(_, y)| *y)
            .filter(|y| *y > top)
            .min()
            .unwrap();
        let squares = top + 10..below - 8;
        let before = picture.colours(16..lane - 2, squares.clone());
        let after = picture.colours(lane..600, squares);
        let [(shared, _)] = &before.iter().collect::<Vec<_>>()[..] else {
            panic!("{before:?}");
        };
        let all: u64 = after.values().sum();
        let coloured = all - after.get(*shared).unwrap_or(&0);
        let expected = region.unshared as f64 / region.pages as f64 * all as f64;
        // The largest square has so many.
        let square = 4.0 * 64.0;
        assert!(
            (coloured as f64 - expected).abs() <= square,
            "{:?}: {coloured} of {all}, not {expected}",
            region.name
        );
        // No copy is hidden, and nothing that is shared.
        assert_eq!(coloured > 0, region.unshared > 0);
        assert_eq!(coloured < all, region.unshared < region.pages);
    }

    // The bars are to one scale.
    let (_, whole) = places(&chart.svg, "before")[0];
    let left = 2 + places(&chart.svg, "iterate")[0].0;
    let of_bar = |middle: usize| picture.colours(left..600, middle - 5..middle + 5);
    let (before, after) = (of_bar(whole), of_bar(bar));
    let sum = |colours: &BTreeMap<[u8; 3], u64>| colours.values().sum::<u64>();
    assert_eq!(sum(&before), sum(&after));
    let coloured: u64 = after
        .iter()
        .filter(|(colour, _)| !before.contains_key(*colour))
        .map(|(_, pixels)| pixels)
        .sum();
    let pages = |figure: fn(&refcow::model::Region) -> u64| regions.iter().map(figure).sum::<u64>();
    let part = pages(|region| region.unshared) as f64 / pages(|region| region.pages) as f64;
    // A hairline for each of the fates that would have none.
    let hairlines = 10.0 * 4.0 * 8.0;
    assert!(
        (coloured as f64 - part * sum(&after) as f64).abs() <= hairlines,
        "{part}"
    );
    assert_eq!(before.len(), regions.len());
}

#[test]
fn a_page_of_many_is_not_as_dark_as_nearly_all_of_them() {
    const LITTLE: &str = "#FDE9DA";
    const MUCH: &str = "#8A3B05";
    let with = |copied: u64| {
        let runs = ["3.11.7", "3.12.1"].map(|version| {
            let mut run = run(version);
            run.measurements.truncate(3);
            run.measurements.remove(1);
            for child in &mut run.measurements[1].children {
                child.regions = child.regions[2..3].to_vec();
                child.regions[0].pages = 10_207;
                child.regions[0].unshared = copied;
            }
            run
        });
        find(&Report::of_all(runs.to_vec(), Vec::new()), "versions").svg
    };
    // Each once in the legend, and once as the row.
    let colours = |svg: String| [LITTLE, MUCH].map(|colour| svg.matches(colour).count());
    assert_eq!(colours(with(1)), [2, 1]);
    assert_eq!(colours(with(10_001)), [1, 2]);
}

/// All words of all charts, in which lines may have ended anywhere.
fn words(report: &Report) -> String {
    let all = charts(report).unwrap();
    let texts = all
        .iter()
        .flat_map(|chart| chart.svg.split("<text ").skip(1));
    let words = texts.map(|one| one.split(['>', '<']).nth(1).unwrap().trim().to_owned());
    words
        .collect::<Vec<_>>()
        .concat()
        .replace(['\u{a0}', ' '], "")
}

#[test]
fn what_is_asked_for_is_drawn_or_named() {
    // As many as no chart has room for, of every size.
    let mut run = run("3.12.1");
    let of = run.measurements[2].clone();
    run.measurements = (0..400)
        .map(|number| Measurement {
            fixture: format!("data{:03}", number / 2),
            visit: format!("look{number:03}"),
            ..of.clone()
        })
        .collect();
    let all = charts(&Report::of(run)).unwrap();
    for kind in [
        ChartKind::Pages,
        ChartKind::Copied,
        ChartKind::Tree,
        ChartKind::Time,
    ] {
        let of_kind: Vec<&Chart> = all.iter().filter(|chart| chart.kind == kind).collect();
        let said: String = of_kind.iter().map(|chart| chart.svg.as_str()).collect();
        assert!(said.contains("data000") && said.contains("look001"));
        assert!(said.contains("not drawn: data"), "{kind:?}");
        assert!(of_kind.len() > 1);
    }
}

#[test]
fn what_does_nothing_is_drawn_where_nothing_else_was_asked_for() {
    let mut run = run("3.12.1");
    run.measurements.truncate(2);
    let both = words(&Report::of(run.clone()));
    assert!(both.contains("notshown:idle,whichdoesnothing"));
    run.measurements.truncate(1);
    let idle = words(&Report::of(run));
    assert!(!idle.contains("notshown"), "{idle}");
    assert!(idle.contains("idle"));
}

#[test]
fn data_that_only_an_older_interpreter_has_is_drawn_from_that() {
    let mut newer = run("3.12.1");
    newer
        .measurements
        .retain(|one| one.fixture == "three_lists");
    let report = Report::of_all(vec![run("3.9.18"), newer], Vec::new());
    let older = find(&report, "pages-shared_numpy");
    let said = older.svg.replace('\u{a0}', " ");
    assert!(
        said.contains("CPython 3.9.18 (2 interpreters were measured)"),
        "{said}"
    );
    assert!(
        find(&report, "pages-three_lists")
            .svg
            .contains("CPython 3.12.1")
    );
    assert!(words(&report).contains("sharedbyshared_memory;CPython3.9.18"));
}

#[test]
fn names_are_not_cut_where_they_differ() {
    let mut run = run("3.12.1");
    let of = run.measurements[2].clone();
    let visit = |end: &str| format!("every_table_of_the_{}_by_{end}", "very_".repeat(12));
    run.measurements = ["key", "value"]
        .map(|end| Measurement {
            visit: visit(end),
            prepare: Some(format!("gc.collect_{}_{end}", "and_again_".repeat(8))),
            ..of.clone()
        })
        .to_vec();
    let report = Report::of_all(vec![run.clone(), run], Vec::new());
    for chart in charts(&report).unwrap() {
        assert!(!chart.svg.contains('…'), "{}", chart.name);
    }
    let said = words(&report);
    for end in ["key", "value"] {
        // Maps twice, and each other kind once.
        assert!(said.matches(&visit(end)).count() >= 6, "{said}");
        assert!(said.contains(&format!("and_again__{end}")), "{said}");
    }
}

#[test]
fn one_fixture_in_two_sizes_has_two_titles_and_two_names() {
    let mut run = run("3.12.1");
    let mut smaller = run.measurements[2].clone();
    smaller.count = Some(200);
    run.measurements.push(smaller);
    let all = charts(&Report::of(run)).unwrap();
    for (kind, beginning) in [(ChartKind::Pages, "pages"), (ChartKind::Tree, "memory")] {
        let of_kind: Vec<&Chart> = all.iter().filter(|chart| chart.kind == kind).collect();
        for size in [
            "2,000\u{a0}× 64\u{a0}KiB a list",
            "200\u{a0}× 64\u{a0}KiB a list",
        ] {
            let title = of_kind
                .iter()
                .filter(|chart| chart.title.contains(&format!("({size})")));
            assert!(title.count() >= 1, "{size}");
        }
        for name in ["2-000-64-kib-a-list", "200-64-kib-a-list"] {
            let name = format!("{beginning}-three_lists-{name}-fork");
            assert!(of_kind.iter().any(|chart| chart.name == name), "{name}");
        }
    }
}

#[test]
fn times_that_are_far_apart_have_an_axis_that_says_how_it_counts() {
    let chart = find(&Report::of(run("3.12.1")), "time");
    let said = words(&Report::of(run("3.12.1")));
    assert!(said.contains("logarithmicaxis:eachmarkistentimestheonebefore"));
    let across = |mark: &str| places(&chart.svg, mark)[0].0;
    let marks = ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"].map(across);
    let steps: BTreeSet<usize> = marks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // But for what becomes whole pixels.
    assert!(
        steps.last().unwrap() - steps.first().unwrap() <= 1,
        "{steps:?}"
    );
}

#[test]
fn a_picture_of_ways_says_what_is_handed_over_in_which_form_and_size() {
    let mut report = with_ways();
    let said = words(&report);
    for words in [
        "Whatachildthathasread524,288integersholdsforitselfalone",
        "handedover:524,288integers,4MiBofcontent",
        "alistofintobjects:itssizewasnotmeasured",
        "packedintooneblock:4MiB",
        "onebitarray:4MiB",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // The same list was built and measured.
    let mut list = report.runs[0].measurements[2].clone();
    (list.fixture, list.count, list.item_bytes) = ("ints".into(), Some(524_288), None);
    for child in &mut list.children {
        child.regions[2].pages = 5_000;
    }
    report.runs[0].measurements.push(list);
    let said = words(&report);
    assert!(said.contains("alistofintobjects:20.1MiBinpages"), "{said}");
}

#[test]
fn memory_shows_what_moves() {
    let chart = find(&Report::of(run("3.12.1")), "memory-three_lists");
    let said = chart.svg.replace('\u{a0}', " ");
    // 60 of 400 MiB are not a line along the upper edge.
    assert!(
        said.contains("reference: +120 MiB") && said.contains("400 MiB → 520 MiB"),
        "{said}"
    );
    // The axis has room for that, and for no more.
    let has_mark = |mark: &str| !places(&chart.svg, mark).is_empty();
    assert!(has_mark("0 B") && has_mark("+192 MiB") && !has_mark("+256 MiB"));
    assert!(
        said.contains("a copy of all the data for each child would be +751.3 MiB"),
        "{said}"
    );
}

#[test]
fn no_title_breaks_between_a_number_and_its_unit() {
    for report in [several(), with_ways()] {
        for chart in charts(&report).unwrap() {
            for text in chart.svg.split("<text ").skip(1) {
                let text = text.split(['>', '<']).nth(1).unwrap();
                for unit in [" KiB", " MiB", " %", " ms", " µs", " pages"] {
                    let mut before = text.split(unit).collect::<Vec<_>>();
                    before.pop();
                    let breaks = before
                        .iter()
                        .any(|words| words.ends_with(|c: char| c.is_ascii_digit()));
                    assert!(!breaks, "{}: {text}", chart.name);
                }
            }
        }
    }
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
        assert!(all.len() <= 100, "{}", all.len());
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
