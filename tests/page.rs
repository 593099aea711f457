//! The page of a report: HTML and Markdown of canned runs, and what a hostile run file can do to
//! them.

use std::collections::BTreeSet;

use refcow::model::{Import, RegionName, Report, Run, Source, Verdict, Warning};
use refcow::report::charts::{Chart, ChartKind};
use refcow::report::{render_html, render_page_markdown};
use rstest::rstest;
use serde_json::Value;

use crate::common::canned;

/// Everything that a run can hold.
fn full(version: &str) -> Run {
    let mut run = canned::run_with_advice(version);
    run.claims = canned::run_with_claims(version).claims;
    run.alternatives = canned::alternatives();
    run.facts = canned::facts();
    let environment = &mut run.environment;
    environment.refcow_commit = Some("0123456789abcdef".into());
    environment.cpu = Some("A processor".into());
    let numpy = "0fa6db473aa88cb6a0f5c780c9c222385234e32ef9eed086e57cfc5eab254e46";
    environment
        .package_sha256
        .insert("numpy".into(), numpy.into());
    let setting = ("/proc/sys/vm/swappiness".to_owned(), "60".to_owned());
    environment.kernel_settings.extend([setting]);
    environment.seeds.insert("PYTHONHASHSEED".into(), 0);
    for measurement in &mut run.measurements {
        measurement.tree.pss_bytes_after = Some(500 << 20);
        let children = measurement.children.len() as u64;
        measurement.tree.pss_bytes_after_each = (1..=children)
            .map(|number| (400 << 20) + ((number * 100) << 20) / children)
            .collect();
    }
    canned::draw_maps(&mut run);
    run
}

fn single() -> Report {
    let mut report = Report::of(full("3.12.1"));
    report.command = ["measure", "a b.py", "--children", "2"]
        .map(str::to_owned)
        .to_vec();
    report.sources = vec![Source {
        path: "a b.py".into(),
        sha256: "00ff".into(),
        imports: vec![Import {
            path: "beside.py".into(),
            sha256: "ff00".into(),
        }],
        imports_unknown: None,
    }];
    report
}

/// Several interpreters, which differ in a verdict, in what they copy, and in what was measured.
fn several() -> Report {
    let mut first = full("3.9.18");
    first.claims[1].verdict = Verdict::Holds;
    first.claims[1].limit = None;
    first.alternatives.truncate(1);
    first
        .measurements
        .retain(|one| one.fixture != "shared_numpy");
    let mut second = full("3.12.1");
    for child in second
        .measurements
        .iter_mut()
        .flat_map(|one| &mut one.children)
    {
        let header = child
            .regions
            .iter_mut()
            .find(|one| one.name == RegionName::Header);
        if let Some(header) = header.filter(|header| header.causes.is_none()) {
            header.unshared /= 2;
        }
    }
    let missing = Warning::InterpreterNotMeasured {
        python: "CPython 3.13.0".into(),
        reason: "it is gone".into(),
    };
    let mut report = Report::of_all(vec![first, second, full("3.15.0")], vec![missing]);
    report.interrupted = true;
    report
}

fn charts() -> Vec<Chart> {
    let kinds = [
        ChartKind::Time,
        ChartKind::Tree,
        ChartKind::Versions,
        ChartKind::Copied,
        ChartKind::Pages,
        ChartKind::Pages,
        ChartKind::Pages,
    ];
    kinds
        .into_iter()
        .zip(1..)
        .map(|(kind, number)| Chart {
            name: format!("chart-{number}"),
            kind,
            title: format!("Chart {number}"),
            alt: format!("What chart {number} shows"),
            svg: "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\"></svg>".into(),
        })
        .collect()
}

fn html(report: &Report, charts: &[Chart]) -> String {
    String::from_utf8(render_html(report, charts).unwrap()).unwrap()
}

fn markdown(report: &Report, charts: &[Chart]) -> String {
    String::from_utf8(render_page_markdown(report, charts).unwrap()).unwrap()
}

/// The document's body: how it looks is looked at, not compared.
fn body(page: &str) -> &str {
    page.split_once("<body>").unwrap().1
}

#[rstest]
#[case("single", single())]
#[case("several", several())]
fn a_page_reads_the_same_in_every_format(#[case] name: &str, #[case] report: Report) {
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("page_{name}.html"), body(&html(&report, &charts())));
        insta::assert_snapshot!(format!("page_{name}.markdown"), markdown(&report, &charts()));
    });
}

fn ids(page: &str) -> Vec<&str> {
    let sections = page.split("<section aria-labelledby=\"").skip(1);
    sections
        .map(|section| section.split('"').next().unwrap())
        .collect()
}

#[test]
fn the_sections_are_in_their_order_and_so_are_their_links() {
    let page = html(&several(), &charts());
    let order = [
        "claims",
        "pages",
        "copied",
        "versions",
        "memory",
        "time",
        "advice",
        "measurements",
        "method",
        "environment",
        "repeat",
    ];
    assert_eq!(ids(&page), order);
    let links: Vec<_> = page.split("<li><a href=\"#").skip(1).collect();
    let links: Vec<_> = links
        .iter()
        .map(|link| link.split('"').next().unwrap())
        .collect();
    assert_eq!(links, order);
    let text = markdown(&several(), &charts());
    let places: Vec<_> = order
        .iter()
        .map(|id| text.find(&format!("<a id=\"{id}\"></a>")).unwrap())
        .collect();
    assert!(places.is_sorted());
}

#[test]
fn advice_comes_first_if_it_was_asked_for_and_nothing_is_said_of_what_is_not_there() {
    let page = html(&Report::of(canned::run_with_advice("3.12.1")), &[]);
    let found = ids(&page);
    assert_eq!(
        found,
        [
            "advice",
            "memory",
            "measurements",
            "method",
            "environment",
            "repeat"
        ]
    );
    for absent in ["href=\"#claims\"", "href=\"#pages\"", "<figure"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("does not name the command"));
}

#[test]
fn the_finding_names_what_does_not_hold() {
    let page = html(&several(), &[]);
    let title = page
        .split("<h1>")
        .nth(1)
        .unwrap()
        .split("</h1>")
        .next()
        .unwrap();
    assert_eq!(
        title,
        "Of 4 statements of the article, tested with CPython\u{a0}3.9.18 to 3.15.0: 1 holds, 1 depends on the version, \
         1 does not hold, 1 could not be tested here."
    );
    assert!(page.contains("<li>Does not hold: What the article says of read-only"));
    let incomplete = page.find("Incomplete:").unwrap();
    assert!(incomplete < page.find("<h1>").unwrap());
    assert!(markdown(&several(), &[]).starts_with("> Incomplete:"));
    assert!(!html(&single(), &[]).contains("Incomplete:"));
}

#[test]
fn a_statement_depends_on_the_version_only_where_verdicts_differ() {
    let mut runs = ["3.11.7", "3.12.1"].map(full);
    for run in &mut runs {
        run.claims.truncate(1);
    }
    let depends = |runs: &[Run]| {
        let page = html(&Report::of_all(runs.to_vec(), Vec::new()), &[]);
        page.contains("⇄</span> depends")
    };
    assert!(!depends(&runs));
    // Nothing is known with this one, and so nothing that differs.
    runs[0].claims[0].verdict = Verdict::NotTestableHere;
    assert!(!depends(&runs));
    runs[0].claims[0].verdict = Verdict::DoesNotHold;
    assert!(depends(&runs));
}

#[test]
fn the_command_is_what_a_shell_reads() {
    let page = html(&single(), &[]);
    assert!(
        page.contains("refcow measure &#x27;a b.py&#x27; --children 2"),
        "{page}"
    );
    assert!(markdown(&single(), &[]).contains("```\nrefcow measure 'a b.py' --children 2\n```"));
}

#[test]
fn a_page_needs_no_other_file_and_runs_nothing() {
    for report in [single(), several()] {
        let page = html(&report, &charts());
        assert!(!page.contains("<script"));
        let without = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!without.contains("http://") && !without.contains("https://"));
        for tag in tags(&page) {
            let own = tag.contains("href=\"#") || tag == "<link rel=\"icon\" href=\"data:,\">";
            assert!(
                own || !(tag.contains(" href=") || tag.contains(" src=")),
                "{tag}"
            );
        }
        assert!(!page.contains("url(") && !page.contains("@import"));
        assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
    }
}

#[test]
fn each_table_says_what_it_is_and_can_be_scrolled_by_keyboard() {
    let page = html(&several(), &charts());
    let tables = page.matches("<table>").count();
    assert!(tables > 10);
    assert_eq!(page.matches("<caption").count(), tables);
    assert_eq!(
        page.matches("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"")
            .count(),
        tables + charts().len()
    );
    assert!(!page.contains("<caption></caption>") && !page.contains("<th scope=\"col\"></th>"));
    // Of a verdict neither the colour nor the sign is needed.
    for word in [
        "holds",
        "holds with limits",
        "does not hold",
        "not testable here",
    ] {
        assert!(page.contains(&format!("</span> {word}</span>")), "{word}");
    }
}

/// The tags of a page, without comments.
fn tags(page: &str) -> Vec<String> {
    let style = page
        .find("<style>")
        .map_or(0..0, |start| start..page.find("</style>").unwrap());
    let mut without = page.to_owned();
    without.replace_range(style, "");
    let mut tags = Vec::new();
    let mut rest = &without[..];
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").unwrap().1;
            continue;
        }
        // No value of an attribute has a `>` that is not escaped.
        let end = rest.find('>').unwrap() + 1;
        tags.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    tags
}

/// The same without the values of attributes.
fn skeleton(page: &str) -> Vec<String> {
    let without_values = |tag: String| {
        let pieces = tag.split('"').step_by(2);
        pieces.collect::<Vec<_>>().join("\"\"")
    };
    tags(page).into_iter().map(without_values).collect()
}

const HOSTILE: &str = "\"'></td></summary></table></code></pre><script>alert(1)</script><img src=x onerror=alert(1)> & &lt; \
                       | [x](javascript:alert(1)) ![y](https://evil.example/z.png) <https://evil.example> `code` ``` ~~~ \
                       https://evil.example www.evil.example a@evil.example @octocat #12 *a* _b_ ~~c~~ $d$ {{ 7*7 }} {% raw %}";

/// As long, and it means nothing.
const HARMLESS: &str = "harmless";

/// The report with every text in it replaced, that of keys too, as far as it stays a report.
fn with_all_texts(report: &Report, text: &str) -> Report {
    let mut document = serde_json::to_value(report).unwrap();
    let mut paths = BTreeSet::new();
    collect(&document, &mut Vec::new(), &mut paths);
    let mut replaced = 0;
    for path in paths {
        let mut next = document.clone();
        replace(&mut next, &path, text);
        if serde_json::from_value::<Report>(next.clone()).is_ok() {
            document = next;
            replaced += 1;
        }
    }
    assert!(replaced > 40, "{replaced}");
    serde_json::from_value(document).unwrap()
}

/// Paths of texts, `*` for any place in a list; of keys with `=` behind.
fn collect(value: &Value, path: &mut Vec<String>, all: &mut BTreeSet<Vec<String>>) {
    match value {
        Value::String(_) => {
            all.insert(path.clone());
        }
        Value::Array(entries) => {
            for entry in entries {
                path.push("*".into());
                collect(entry, path, all);
                path.pop();
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                path.push(name.clone());
                collect(field, path, all);
                path.push("=".into());
                all.insert(path.clone());
                path.pop();
                path.pop();
            }
        }
        _ => {}
    }
}

fn replace(value: &mut Value, path: &[String], text: &str) {
    match (value, path) {
        (value @ Value::String(_), []) => *value = text.into(),
        (Value::Array(entries), [_, rest @ ..]) => {
            for entry in entries {
                replace(entry, rest, text);
            }
        }
        (Value::Object(fields), [name, rest @ ..]) => match rest {
            [only] if only == "=" => {
                if let Some(field) = fields.shift_remove(name) {
                    fields.insert(format!("{text}{name}"), field);
                }
            }
            _ => {
                if let Some(field) = fields.get_mut(name) {
                    replace(field, rest, text);
                }
            }
        },
        _ => {}
    }
}

#[rstest]
#[case(single())]
#[case(several())]
fn hostile_text_stays_text_in_html(#[case] report: Report) {
    let hostile = html(&with_all_texts(&report, HOSTILE), &charts());
    let harmless = html(&with_all_texts(&report, HARMLESS), &charts());
    assert_eq!(skeleton(&hostile), skeleton(&harmless));
    assert!(hostile.contains("alert(1)"));
}

#[rstest]
#[case(single())]
#[case(several())]
fn hostile_text_stays_text_in_markdown(#[case] report: Report) {
    let mut options = comrak::Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.math_dollars = true;
    // Its own elements are HTML.
    options.render.r#unsafe = true;
    let shown = |text| {
        let text = markdown(&with_all_texts(&report, text), &charts());
        comrak::markdown_to_html(&text, &options)
    };
    let hostile = shown(HOSTILE);
    assert_eq!(skeleton(&hostile), skeleton(&shown(HARMLESS)));
    assert!(hostile.contains("alert(1)"));
    // What GitHub makes links of, but in code, is not in one piece.
    let without_code = hostile
        .split("<code")
        .map(|piece| match piece.split_once("</code>") {
            Some((_, rest)) => rest,
            None => piece,
        });
    let without_code: String = without_code.collect();
    assert!(!without_code.contains("@octocat") && !without_code.contains("#12"));
}

#[test]
fn names_of_charts_are_no_links_to_elsewhere() {
    let mut hostile = charts();
    for chart in &mut hostile {
        chart.name = "x.svg) [y](//evil.example/".into();
        chart.alt = HOSTILE.into();
        chart.title = HOSTILE.into();
    }
    let text = markdown(&single(), &hostile);
    assert!(text.contains("](charts/x.svg%29%20%5By%5D%28%2F%2Fevil.example%2F.svg)"));
    let page = html(&single(), &hostile);
    assert_eq!(skeleton(&page), skeleton(&html(&single(), &charts())));
}

#[test]
fn eight_interpreters_fit_into_a_megabyte() {
    let runs = (6..14).map(|minor| full(&format!("3.{minor}.1")));
    let report = Report::of_all(runs.collect(), Vec::new());
    let page = html(&report, &refcow::report::charts::charts(&report).unwrap());
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
}
