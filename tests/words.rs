//! What refcow says of a visit, in sentences: documents of every kind of visit, and the words for
//! each.

use refcow::model::{
    Cause, Child, Followed, Made, OnTheWay, Peak, Processes, RegionName, Report, Run,
};
use refcow::report::{Format, findings, render, render_by, render_html};
use rstest::rstest;

use crate::common::canned::{self, at_line, of_a_visit};

use Cause::{Buffer, Gc, Refcount, Unattributed};
use RegionName::{Header, Interpreter, Modules, Native, Payload, Rest, Spine};

fn found(run: Run) -> String {
    let found = findings(&Report::of(run));
    assert_eq!(found.len(), 1);
    let found = found[0].strip_prefix("Found: ").unwrap();
    found.to_owned()
}

/// Two thousand pages of objects, of which one type's are nearly all copied.
fn keys(change: impl Fn(&mut Child)) -> Run {
    of_a_visit(
        "keys",
        &[(Header, 2_000, 1_960), (Spine, 900, 0), (Rest, 1_500, 2)],
        &[
            (
                Header,
                Refcount,
                Some("str"),
                Some("dictiter_iternextkey"),
                1_960,
            ),
            (Rest, Unattributed, None, None, 2),
        ],
        change,
    )
}

#[test]
fn the_sentence_begins_with_bytes_and_says_why_and_where() {
    let run = keys(|child| at_line(child, "visit_keys (str_keys.py:9)", None));
    assert_eq!(
        found(run),
        "each worker copied 7.7 MiB (98.0 % of the objects' pages) because using a str writes its reference count: \
         str_keys.py:9, dictiter_iternextkey; nothing new."
    );
}

#[test]
fn the_line_is_that_of_the_users_own_file() {
    let run = keys(|child| {
        at_line(
            child,
            "loads (json/decoder.py:5)",
            Some("visit_keys (mine.py:3)"),
        );
    });
    let found = found(run);
    assert!(
        found.contains(": mine.py:3, dictiter_iternextkey;"),
        "{found}"
    );
}

#[test]
fn without_causes_it_says_so() {
    let run = of_a_visit("keys", &[(Header, 2_000, 1_960)], &[], |_| {});
    assert_eq!(
        found(run),
        "each worker copied 7.7 MiB (98.0 % of the objects' pages); what wrote to them was not recorded; nothing new."
    );
}

/// A document from before new memory was counted.
#[test]
fn what_was_not_counted_is_not_told() {
    let run = keys(|child| (child.new_pages, child.file_pages) = (None, None));
    let found = found(run);
    assert!(found.ends_with("dictiter_iternextkey."), "{found}");
}

#[test]
fn copies_outside_of_the_data_are_told_as_well() {
    let run = of_a_visit(
        "collect",
        &[
            (Header, 20, 0),
            (Modules, 2_000, 1_000),
            (Interpreter, 900, 400),
        ],
        &[
            (
                Modules,
                Gc,
                Some("function"),
                Some("gc_collect_main"),
                1_000,
            ),
            (Interpreter, Gc, Some("dict"), Some("gc_collect_main"), 400),
        ],
        |_| {},
    );
    assert_eq!(
        found(run),
        "each worker copied 5.5 MiB: 3.9 MiB (50.0 % of the modules' pages) because the GC header of a \
         function was written: gc_collect_main; nothing new. Another 1.6 MiB (44.4 % of the interpreter's pages) was copied \
         because the GC header of a dict was written: gc_collect_main."
    );
}

/// Whatever region it is in, and however it is spread.
#[rstest]
fn what_is_more_than_noise_is_never_nothing(#[values(0, 1, 3, 4, 5, 4_000)] pages: u64) {
    for region in RegionName::ALL {
        let run = of_a_visit("look", &[(region, 5_000, pages)], &[], |_| {});
        let found = found(run);
        let nothing = found.contains("no worker copied");
        assert_eq!(nothing, pages < 4, "{found}");
        assert_eq!(found.contains("noise"), (1..4).contains(&pages), "{found}");
    }
    // A page or two in each of many regions.
    let spread: Vec<_> = RegionName::ALL
        .map(|region| (region, 50, pages.min(3)))
        .into();
    let found = found(of_a_visit("look", &spread, &[], |_| {}));
    assert_eq!(found.contains("no worker copied"), pages == 0, "{found}");
}

#[test]
fn a_part_of_less_than_64_kib_is_not_told() {
    let written = [(Header, Refcount, Some("int"), Some("f"), 8)];
    let small = of_a_visit("look", &[(Header, 15, 8)], &written, |_| {});
    assert!(found(small).starts_with("each worker copied 32 KiB (objects) because"));
    let large = of_a_visit("look", &[(Header, 16, 8)], &written, |_| {});
    assert!(found(large).starts_with("each worker copied 32 KiB (50.0 % of"));
}

#[test]
fn new_memory_comes_first_where_it_is_more() {
    let run = of_a_visit(
        "epoch",
        &[(Header, 200, 128)],
        &[(Header, Refcount, Some("tuple"), Some("tuplerepr"), 128)],
        |child| {
            child.new_pages = Some(8_000);
            child.made = vec![Made {
                of_type: Some("numpy.ndarray".into()),
                function: Some("PyArray_NewFromDescr".into()),
                line: Some("load (helper.py:3)".into()),
                own_line: Some("visit_epoch (mine.py:14)".into()),
                pages: 7_990,
            }];
        },
    );
    assert_eq!(
        found(run),
        "each worker made 31.2 MiB of new memory (mostly for numpy.ndarray: mine.py:14, PyArray_NewFromDescr), and copied \
         512 KiB (64.0 % of the objects' pages) because using a tuple writes its reference count: tuplerepr."
    );
}

/// A reason is all of it, most of it, or a part.
#[rstest]
#[case(&[(Refcount, 95), (Gc, 5)], "(50.0 % of the objects' pages) because using a str")]
#[case(&[(Refcount, 60), (Gc, 40)], "(50.0 % of the objects' pages) mainly because using a str")]
#[case(&[(Refcount, 40), (Gc, 30), (Buffer, 30)], "(50.0 % of the objects' pages) partly because using a str")]
#[case(&[(Unattributed, 45), (Refcount, 30), (Gc, 25)], "(50.0 % of the objects' pages) partly because using a str")]
#[case(&[(Unattributed, 60), (Refcount, 40)], "(50.0 % of the objects' pages); refcow does not know what was written there")]
fn a_reason_is_told_for_no_more_than_it_is(#[case] causes: &[(Cause, u64)], #[case] words: &str) {
    let written: Vec<_> = causes
        .iter()
        .map(|&(cause, pages)| (Header, cause, Some("str"), Some("f"), pages))
        .collect();
    let found = found(of_a_visit("look", &[(Header, 200, 100)], &written, |_| {}));
    assert!(found.contains(words), "{found}");
}

#[test]
fn what_was_given_back_is_told_by_its_peak() {
    let exit = |visit: &str| {
        of_a_visit(
            visit,
            &[(Header, 9_000, 1_178)],
            &[(Header, Refcount, Some("str"), Some("_Py_Dealloc"), 1_178)],
            |child| {
                child.peak = Some(Peak {
                    bytes: 86 << 20,
                    looks: 40,
                    copied_pages: Some(22_000),
                });
            },
        )
    };
    assert_eq!(
        found(exit("exit")),
        "each worker had at least 86 MiB of copies and new memory at once, and gave most of it back. At the end it had copied 4.6 MiB \
         (13.1 % of the objects' pages) because ending Python writes the reference count of a str: _Py_Dealloc; nothing new."
    );
    assert!(found(exit("look")).contains("because using a str writes its reference count"));
    // What was copied over all the time was not there at once.
    let by_and_by = of_a_visit("exit", &[(Header, 9_000, 100)], &[], |child| {
        child.peak = Some(Peak {
            bytes: 6 << 20,
            looks: 40,
            copied_pages: Some(8_448),
        });
    });
    let by_and_by = found(by_and_by);
    assert!(
        by_and_by.starts_with(
            "each worker copied 33 MiB in all, and gave most of it back; at least 6 MiB of copies and new memory was there at once. "
        ),
        "{by_and_by}"
    );
    // All of it: that is not nothing.
    let all = of_a_visit("exit", &[(Header, 9_000, 0)], &[], |child| {
        child.peak = Some(Peak {
            bytes: 40 << 20,
            looks: 3,
            copied_pages: None,
        });
    });
    let found = found(all);
    assert!(
        found.starts_with("each worker had at least 40 MiB"),
        "{found}"
    );
    assert!(!found.contains("no worker"), "{found}");
}

#[test]
fn processes_of_a_visit_are_told_first_where_they_copied_more() {
    let run = of_a_visit("forks", &[(Header, 4_000, 1)], &[], |child| {
        let one = Followed {
            regions: vec![OnTheWay {
                region: Header,
                pages: 3_920,
            }],
            new_pages: 64,
        };
        child.processes = Some(Processes {
            number: 5,
            followed: vec![one; 4],
            peak_bytes: Some(62 << 20),
            not_followed: Some("it had ended before it could be looked at".into()),
        });
    });
    assert_eq!(
        found(run),
        "each worker started 5 processes, of which 4 together copied 61.2 MiB and made 1 MiB of new memory; at the peak they \
         had at least 62 MiB of both; what the other one copied is not known: it had ended before it could be looked at. It itself \
         did not copy anything but noise (4 KiB); nothing new."
    );
}

#[test]
fn one_process_is_no_several() {
    let of = |followed: bool| {
        found(of_a_visit(
            "fork",
            &[(Header, 4_000, 1_000)],
            &[],
            |child| {
                let one = Followed {
                    regions: vec![OnTheWay {
                        region: Header,
                        pages: 64,
                    }],
                    new_pages: 0,
                };
                child.processes = Some(Processes {
                    number: 1,
                    followed: if followed { vec![one] } else { vec![] },
                    peak_bytes: followed.then_some(256 << 10),
                    not_followed: (!followed).then(|| "1 ran another program (sh)".into()),
                });
            },
        ))
    };
    let (followed, lost) = (of(true), of(false));
    assert!(
        followed.ends_with(
            "It started 1 process, which copied 256 KiB and made 0 B of new memory; at the peak it had at least 256 KiB of both."
        ),
        "{followed}"
    );
    assert!(
        lost.ends_with(
            "It started 1 process; what that one copied is not known: 1 ran another program (sh)."
        ),
        "{lost}"
    );
}

/// None, an empty list, a mapping that nobody has read yet, data in a global.
#[test]
fn data_without_a_page_is_not_told_to_be_elsewhere() {
    let found = found(of_a_visit("look", &[(Modules, 2_000, 1_000)], &[], |_| {}));
    assert!(
        found.contains("refcow could not locate the data of "),
        "{found}"
    );
    assert!(!found.contains("rest of the process"), "{found}");
}

#[test]
fn imports_and_copies_on_the_way_are_told() {
    let run = of_a_visit("imports", &[(Header, 4, 4)], &[], |child| {
        child.imported = ["decimal", "numbers", "json", "json.decoder", "json.scanner"]
            .map(Into::into)
            .into();
        child.copied_on_the_way = vec![
            OnTheWay {
                region: Header,
                pages: 530,
            },
            OnTheWay {
                region: Rest,
                pages: 2,
            },
        ];
    });
    assert_eq!(
        found(run),
        "each worker copied 16 KiB (objects); what wrote to them was not recorded; nothing new. It imported decimal, numbers, \
         json and 2 more modules. Between the fork and the visit it had already copied 2.1 MiB of objects."
    );
}

#[test]
fn memory_of_c_has_words_of_its_own() {
    let of = |cause, function| {
        let written = [(Native, cause, None, function, 1_600)];
        found(of_a_visit(
            "lookup",
            &[(Native, 2_500, 1_600)],
            &written,
            |_| {},
        ))
    };
    assert_eq!(
        of(Unattributed, Some("sqlite3PcacheFetchFinish")),
        "each worker copied 6.2 MiB (64.0 % of the pages that C code holds) because C code wrote to memory that it holds: \
         sqlite3PcacheFetchFinish; nothing new."
    );
    assert!(of(Buffer, Some("f")).contains("because C code wrote to memory that it holds: f;"));
    // Nobody saw who wrote.
    assert!(of(Unattributed, None).contains("; refcow does not know what was written there;"));
}

#[test]
fn the_visit_is_that_which_costs_most_not_that_with_the_largest_part() {
    let mut run = of_a_visit("little", &[(Header, 20, 20)], &[], |_| {});
    let mut large = of_a_visit(
        "much",
        &[(Header, 20, 0), (Modules, 3_000, 900)],
        &[],
        |_| {},
    );
    run.measurements.append(&mut large.measurements);
    let found = found(run);
    assert!(
        found.starts_with("each worker copied 3.5 MiB in much (30.0 % of the modules' pages)"),
        "{found}"
    );
}

#[test]
fn several_interpreters_have_a_sentence_each() {
    let report = Report::of_all(
        vec![canned::run("3.9.18"), canned::run("3.12.1")],
        Vec::new(),
    );
    let found = findings(&report);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with(
        "Found with CPython 3.9.18: each worker copied 548 KiB in read of three_lists"
    ));
}

/// As a person reads a log, a terminal, and a narrow one.
#[rstest]
fn no_line_is_wider_than_it_may_be(
    #[values(None, Some(60), Some(80), Some(132))] width: Option<u16>,
) {
    let long = "very.long.name.of.a.package.of.somebody.Who_likes_names_that_never_end_at_all";
    let run = of_a_visit(
        "keys",
        &[(Header, 2_000, 1_960)],
        &[(
            Header,
            Refcount,
            Some(long),
            Some("dictiter_iternextkey"),
            1_960,
        )],
        |child| {
            at_line(
                child,
                "visit_keys (a/very/long/path/of/a/file/str_keys.py:9)",
                Some("main (mine.py:1)"),
            )
        },
    );
    let report = Report::of(run);
    let format = Format::Table { width };
    let by = [refcow::model::By::Type, refcow::model::By::Line];
    let by = render_by(&report, &by, format).unwrap();
    let by = String::from_utf8(by).unwrap();
    let tables = String::from_utf8(render(&report, format).unwrap()).unwrap();
    for line in by.lines().chain(tables.lines()) {
        // A name that is longer than a line stays whole in a sentence, for whoever copies it.
        let is_wide = line.chars().count() > usize::from(width.unwrap_or(80));
        assert!(
            !is_wide || line.trim_start() == line && !line.contains("  ") && line.contains(long),
            "{line}"
        );
    }
}

#[test]
fn several_groups_are_columns_of_bytes_and_parts() {
    let report = Report::of(keys(|child| at_line(child, "visit_keys (mine.py:9)", None)));
    let by = [refcow::model::By::Type, refcow::model::By::Line];
    let table = render_by(&report, &by, Format::Table { width: None }).unwrap();
    let table = String::from_utf8(table).unwrap();
    assert!(
        table.contains("str                visit_keys (mine.py:9)  7.7 MiB, 99.9 %"),
        "{table}"
    );
    assert!(
        table.contains("Found: each worker copied 7.7 MiB"),
        "{table}"
    );
    let csv = String::from_utf8(render_by(&report, &by, Format::Csv).unwrap()).unwrap();
    let head = csv.lines().next().unwrap();
    assert!(
        head.ends_with("child,by,type,line,unshared,unshared_bytes,share,identical"),
        "{head}"
    );
    assert!(
        csv.contains(",\"type,line\",str,visit_keys (mine.py:9),1960,8028160,"),
        "{csv}"
    );
}

#[test]
fn where_the_visits_do_not_fit_side_by_side_each_has_only_its_own_rows() {
    let mut run = keys(|child| at_line(child, "visit_keys (mine.py:9)", None));
    for (visit, line) in [("values", "visit_values (mine.py:14)"), ("idle", "")] {
        let mut other = run.measurements[0].clone();
        other.visit = visit.into();
        for child in &mut other.children {
            match line {
                "" => child.written.clear(),
                line => at_line(child, line, None),
            }
        }
        run.measurements.push(other);
    }
    let by = [refcow::model::By::Type, refcow::model::By::Line];
    let table = |width| {
        let table = render_by(&Report::of(run.clone()), &by, Format::Table { width });
        String::from_utf8(table.unwrap()).unwrap()
    };
    let parts = table(Some(52));
    let (of_keys, others) = parts.split_once(" values\n").unwrap();
    let (of_values, of_idle) = others.split_once(" idle\n").unwrap();
    assert!(
        of_keys.contains("mine.py:9") && !of_keys.contains("mine.py:14"),
        "{parts}"
    );
    assert!(of_values.contains("mine.py:14"), "{parts}");
    assert!(!of_values.contains("mine.py:9"), "{parts}");
    assert!(of_idle.starts_with("(nothing)"), "{parts}");
    // Side by side all of them say something.
    assert!(!table(Some(200)).contains("(nothing)"));
}

#[test]
fn a_visit_that_makes_nothing_new_has_nothing_new_and_not_an_unknown_amount() {
    let mut run = keys(|child| {
        child.new_pages = Some(100);
        child.made = vec![Made {
            of_type: Some("list".into()),
            function: None,
            line: None,
            own_line: None,
            pages: 100,
        }];
    });
    let mut idle = run.measurements[0].clone();
    idle.visit = "idle".into();
    for child in &mut idle.children {
        child.new_pages = Some(0);
        child.made.clear();
    }
    run.measurements.push(idle);
    let by = [refcow::model::By::Type];
    let text = |run: &refcow::model::Run| {
        let table = render_by(&Report::of(run.clone()), &by, Format::Table { width: None });
        String::from_utf8(table.unwrap()).unwrap()
    };
    let table = text(&run);
    assert!(table.contains("list  400 KiB, 100 %   0 B\n"), "{table}");
    // Where nobody knows who made it, it is.
    run.measurements[1].children[0].new_pages = Some(7);
    let table = text(&run);
    assert!(table.contains("list  400 KiB, 100 %  unknown\n"), "{table}");
}

#[test]
fn by_package_names_the_packages_of_modules() {
    let run = of_a_visit(
        "collect",
        &[(Modules, 2_000, 1_000)],
        &[
            (Modules, Gc, Some("function"), Some("collect"), 700),
            (Modules, Gc, Some("dict"), Some("collect"), 300),
        ],
        |child| child.written[0].package = Some("django".into()),
    );
    let table = render_by(
        &Report::of(run),
        &[refcow::model::By::Package],
        Format::Table { width: None },
    );
    let table = String::from_utf8(table.unwrap()).unwrap();
    assert!(table.contains("django        2.7 MiB, 70.0 %"), "{table}");
    assert!(table.contains("(no package)  1.2 MiB, 30.0 %"), "{table}");
}

#[test]
fn by_package_names_what_is_of_none() {
    let run = of_a_visit(
        "read",
        &[
            (Header, 2_000, 700),
            (Interpreter, 200, 200),
            (Rest, 100, 100),
        ],
        &[
            (Header, Refcount, Some("str"), Some("sum"), 700),
            (Interpreter, Refcount, Some("str"), Some("sum"), 200),
            (Rest, Unattributed, None, Some("sum"), 100),
        ],
        |_| {},
    );
    let by = [refcow::model::By::Package];
    let table = render_by(&Report::of(run), &by, Format::Table { width: None });
    let table = String::from_utf8(table.unwrap()).unwrap();
    for row in [
        "(the data)         2.7 MiB, 70.0 %",
        "(the interpreter)  800 KiB, 20.0 %",
        "(no package)       400 KiB, 10.0 %",
    ] {
        assert!(table.contains(row), "{table}");
    }
}

/// A page on which payload ends may hold another object, too. What is written to that is no
/// payload.
#[rstest]
#[case::one_page(1, "4 KiB", false)]
#[case::more_than_noise(5, "20 KiB", true)]
fn what_was_copied_for_a_neighbour_is_no_payload(
    #[case] edge: u64,
    #[case] size: &str,
    #[case] told: bool,
) {
    let run = of_a_visit(
        "read",
        &[(Header, 121, 121), (Payload, 96_027, edge + 10)],
        &[
            (Header, Refcount, Some("array.array"), Some("read"), 121),
            (Payload, Refcount, Some("dict"), Some("look"), edge),
            (Payload, Buffer, Some("array.array"), Some("write"), 10),
        ],
        |_| {},
    );
    let text = render(&Report::of(run.clone()), Format::Table { width: None }).unwrap();
    let text = String::from_utf8(text).unwrap();
    let last = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {text}"));
        line.split_whitespace().next_back().unwrap().to_owned()
    };
    assert_eq!(last("payload"), "10");
    assert_eq!(last("edge of payload"), edge.to_string());
    let words = format!("read: at the edge of payload, {size} more was copied for a dict there.");
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains(&words), "{text}");
    let found = findings(&Report::of(run)).remove(0);
    assert_eq!(found.contains("At the edge of payload"), told, "{found}");
    assert!(
        !found.contains("a dict writes its reference count"),
        "{found}"
    );
}

#[test]
fn a_report_says_when_it_was_made_and_how_long_that_took() {
    let of = |runs: &[(Option<&str>, Option<f64>)]| {
        let runs = runs.iter().map(|(began, seconds)| {
            let mut run = keys(|_| {});
            run.began = began.map(str::to_owned);
            run.seconds = *seconds;
            run
        });
        let report = Report::of_all(runs.collect(), Vec::new());
        let [table, markdown] = [Format::Table { width: None }, Format::Markdown].map(|format| {
            let text = render(&report, format).unwrap();
            String::from_utf8(text).unwrap().replace('\n', " ")
        });
        table.split_once("Measured ").map(|(_, rest)| {
            let (said, _) = rest.split_once("  ").unwrap();
            assert!(markdown.contains(&format!("Measured {said}")), "{markdown}");
            let page = String::from_utf8(render_html(&report, &[]).unwrap()).unwrap();
            let said_there = format!("Measured {}", said.trim_end_matches('.'));
            assert!(page.contains(&said_there), "{page}");
            said.to_owned()
        })
    };
    let one = (Some("2026-11-28T16:22:01Z"), Some(41.4));
    let other = (Some("2026-11-28T17:05:59Z"), Some(200.0));
    assert_eq!(
        of(&[one]).as_deref(),
        Some("2026-11-28 16:22 UTC, in 41 s.")
    );
    assert_eq!(
        of(&[other, one]).as_deref(),
        Some(
            "2026-11-28 16:22 UTC, the last run from 2026-11-28 17:05 UTC on, in 4 min 1 s in all."
        )
    );
    assert_eq!(
        of(&[one, (None, None)]).as_deref(),
        Some("2026-11-28 16:22 UTC.")
    );
    assert_eq!(of(&[(None, None)]), None);
    assert_eq!(of(&[(Some("<b>"), Some(1.0))]), None);
}

#[test]
fn who_made_new_memory_is_a_table_too() {
    let run = keys(|child| {
        child.new_pages = Some(100);
        child.made = vec![Made {
            of_type: Some("list".into()),
            function: Some("list_resize".into()),
            line: Some("visit_keys (mine.py:4)".into()),
            own_line: None,
            pages: 100,
        }];
    });
    let report = Report::of(run);
    let table = render_by(
        &report,
        &[refcow::model::By::Type],
        Format::Table { width: None },
    );
    let table = String::from_utf8(table.unwrap()).unwrap();
    assert!(table.contains("new memory of each of 2 workers"), "{table}");
    assert!(table.contains("list  400 KiB, 100 %"), "{table}");
    let table = String::from_utf8(render(&report, Format::Table { width: None }).unwrap()).unwrap();
    assert!(
        table.contains("keys: 400 KiB new; of list in visit_keys (mine.py:4); by list_resize."),
        "{table}"
    );
}
