//! A run as refcow could have measured it, with everything that whoever reads one has to cope with.

use std::collections::BTreeMap;

use refcow::model::{
    Advice, AfterKill, Alternative, Calibration, Cause, Causes, Child, Claim, Compared, Contents,
    CrossChecks, Environment, Fact, Fate, Figure, HugePages, Ksm, Leftover, MeasuredAgain,
    Measurement, Outcome, PageMap, Peak, Privileges, Python, Receiver, Region, RegionName, Run,
    StartMethod, Tree, Tried, Unit, Value, Verdict, Warning, Written,
};

/// Gives a child whose copied pages are others now as many faults as its cross-check says.
pub fn with_faults(child: &mut Child) {
    let unshared = child.totals().unshared.cast_signed();
    let faults = unshared + child.cross_checks.faults_minus_unshared;
    child.minor_faults = faults.cast_unsigned();
}

fn child(regions: &[(RegionName, u64, u64, Option<u64>)], seconds: f64) -> Child {
    let regions: Vec<_> = regions
        .iter()
        .map(|&(name, pages, unshared, identical)| Region {
            name,
            pages,
            unshared,
            identical,
            causes: None,
            map: None,
        })
        .collect();
    let mut child = Child {
        visit_seconds: seconds,
        minor_faults: 0,
        uss_bytes_before: Some(655_360),
        uss_bytes_after: None,
        pages_copied_by_fork: 160,
        new_pages: None,
        file_pages: None,
        bytes: None,
        peak: None,
        resident_peak_growth_bytes: None,
        made: Vec::new(),
        imported: Vec::new(),
        processes: None,
        copied_on_the_way: Vec::new(),
        regions,
        written: Vec::new(),
        lost_faults: 0,
        cross_checks: CrossChecks {
            faults_minus_unshared: 1,
            uss_pages_minus_unshared: None,
            uss_growth: None,
        },
    };
    with_faults(&mut child);
    child
}

/// What wrote first to so many pages of a region: cause, type, function.
pub type First<'a> = (RegionName, Cause, Option<&'a str>, Option<&'a str>, u64);

/// Takes from a child what is known of who wrote, for one whose figures are to be others.
pub fn without_causes(child: &mut Child) {
    child.written.clear();
    for region in &mut child.regions {
        region.causes = None;
    }
}

/// A child of which it is known who wrote.
fn with_causes(mut child: Child, all: &[First<'_>]) -> Child {
    for region in &mut child.regions {
        region.causes = Some(Causes::default());
    }
    for &(region, cause, of_type, function, pages) in all {
        let mut regions = child.regions.iter_mut();
        let of = regions.find(|one| one.name == region).unwrap();
        *of.causes.as_mut().unwrap().of_mut(cause) += pages;
        child.written.push(Written {
            region,
            cause,
            of_type: of_type.map(Into::into),
            function: function.map(Into::into),
            line: None,
            own_line: None,
            package: None,
            pages,
            identical: None,
        });
    }
    child
}

/// Draws a map of each region of each dataset that says what the region's figures say: half of the
/// shared pages, the copied ones by cause, the identical ones first, and the other half.
pub fn draw_maps(run: &mut Run) {
    for child in run
        .measurements
        .iter_mut()
        .flat_map(|measurement| &mut measurement.children)
    {
        for region in &mut child.regions {
            if region.name == RegionName::Rest {
                continue;
            }
            let mut causes = Vec::new();
            for cause in Cause::ALL {
                let pages = region.causes.map_or(0, |causes| causes.of(cause));
                causes.extend((0..pages).map(|_| Some(cause)));
            }
            if region.causes.is_none() {
                causes.extend((0..region.unshared).map(|_| None));
            }
            let copied = causes
                .into_iter()
                .zip(0..)
                .map(|(cause, number)| Fate::Copied {
                    cause,
                    identical: region.identical.map(|identical| number < identical),
                });
            let shared = |pages| (0..pages).map(|_| Fate::Shared);
            let left = region.pages - region.unshared;
            let all = shared(left / 2)
                .chain(copied)
                .chain(shared(left - left / 2));
            region.map = Some(PageMap::of(all));
        }
    }
}

/// A run of one visit of a user's file in two workers, each with these regions (pages, copied
/// ones), and what is told of it by `change`.
pub fn of_a_visit(
    visit: &str,
    regions: &[(RegionName, u64, u64)],
    written: &[First<'_>],
    change: impl Fn(&mut Child),
) -> Run {
    let regions: Vec<_> = regions
        .iter()
        .map(|&(name, pages, copied)| (name, pages, copied, Some(0)))
        .collect();
    let mut one = child(&regions, 0.5);
    one.new_pages = Some(0);
    one.file_pages = Some(0);
    let mut one = match written {
        [] => one,
        written => with_causes(one, written),
    };
    change(&mut one);
    Run {
        warnings: Vec::new(),
        measurements: vec![measurement("mine", visit, "fork", vec![one.clone(), one])],
        ..run("3.12.1")
    }
}

/// Gives the same line to all that was written.
pub fn at_line(child: &mut Child, line: &str, own_line: Option<&str>) {
    for written in &mut child.written {
        written.line = Some(line.into());
        written.own_line = own_line.map(Into::into);
    }
}

fn measurement(fixture: &str, visit: &str, sharing: &str, children: Vec<Child>) -> Measurement {
    Measurement {
        fixture: fixture.into(),
        visit: visit.into(),
        prepare: None,
        sharing: sharing.into(),
        count: Some(2_000),
        item_bytes: Some(65_536),
        parameters: BTreeMap::new(),
        arguments: Vec::new(),
        build_seconds: 0.25,
        tree: Tree {
            pss_bytes_before: Some(400 << 20),
            ..Tree::default()
        },
        children,
    }
}

fn python(version: &str) -> Python {
    Python {
        version: version.into(),
        build: Some(format!("{version} (main) [GCC]")),
        executable: format!("/usr/bin/python{version}").into(),
        libpython: None,
        free_threaded: false,
    }
}

/// A run with everything that a renderer has to cope with: children that differ, unknown bytes, a
/// preparation, a warning.
pub fn run(version: &str) -> Run {
    use Cause::{Allocator, Gc, Kernel, Refcount, Unattributed};
    use RegionName::{Header, Payload, Rest, Segment, Spine};
    let lists = |header, rest, identical, seconds| {
        child(
            &[
                (Header, 121, header, identical),
                (Spine, 14, 0, Some(0)),
                (Payload, 96_027, 0, Some(0)),
                (Rest, 1_851, rest, Some(0)),
            ],
            seconds,
        )
    };
    let shared = |rest| {
        child(
            &[
                (Segment, 96_000, 0, Some(0)),
                (Rest, 3_832, rest, Some(rest)),
            ],
            0.000_04,
        )
    };
    Run {
        began: None,
        seconds: None,
        python: python(version),
        environment: Environment {
            refcow_version: "0.1.0".into(),
            refcow_commit: None,
            kernel: "6.12.0".into(),
            architecture: "x86_64".into(),
            page_size_bytes: 4096,
            transparent_huge_pages: HugePages {
                enabled: Some("madvise".into()),
                disabled_in_subject: true,
            },
            ksm: Ksm { running: None },
            privileges: Privileges {
                page_frame_numbers: false,
                root: false,
            },
            cpu: None,
            cpus: 2,
            memory_total_bytes: 8 << 30,
            memory_available_bytes: 7 << 30,
            packages: BTreeMap::from([("numpy".into(), "2.5.5".into())]),
            package_sha256: BTreeMap::new(),
            kernel_settings: BTreeMap::new(),
            seeds: BTreeMap::new(),
            variables: BTreeMap::new(),
            all_variables: false,
        },
        calibration: Calibration {
            pages_written: 1365,
            pages_counted: 1365,
        },
        warnings: vec![Warning::KsmRunning],
        claims: Vec::new(),
        facts: Vec::new(),
        observations: Vec::new(),
        alternatives: Vec::new(),
        own_data: Vec::new(),
        advice: Vec::new(),
        measurements: vec![
            measurement(
                "three_lists",
                "idle",
                "fork",
                vec![
                    lists(0, 0, Some(0), 0.000_000_6),
                    lists(0, 0, Some(0), 0.000_000_7),
                ],
            ),
            measurement(
                "three_lists",
                "reference",
                "fork",
                vec![
                    lists(2, 9, Some(2), 0.000_15),
                    lists(2, 9, Some(2), 0.000_16),
                ],
            ),
            measurement(
                "three_lists",
                "iterate",
                "fork",
                vec![
                    with_causes(
                        lists(121, 8, Some(117), 0.001_2),
                        &[
                            (
                                Header,
                                Refcount,
                                Some("array.array"),
                                Some("listiter_next"),
                                80,
                            ),
                            (
                                Header,
                                Refcount,
                                Some("a|b.<Kind>"),
                                Some("listiter_next"),
                                40,
                            ),
                            (Header, Gc, Some("list"), Some("libx.so+0x1f"), 1),
                            (Rest, Allocator, None, Some("pymalloc_alloc"), 5),
                            (Rest, Unattributed, None, None, 3),
                        ],
                    ),
                    with_causes(
                        lists(120, 8, Some(117), 0.001_3),
                        &[
                            (
                                Header,
                                Refcount,
                                Some("array.array"),
                                Some("listiter_next"),
                                80,
                            ),
                            (
                                Header,
                                Refcount,
                                Some("a|b.<Kind>"),
                                Some("listiter_next"),
                                40,
                            ),
                            (Rest, Kernel, None, None, 8),
                        ],
                    ),
                ],
            ),
            measurement(
                "three_lists",
                "read",
                "fork",
                vec![lists(121, 16, None, 0.86), lists(121, 16, None, 0.9)],
            ),
            measurement("shared_numpy", "idle", "shared_memory", vec![shared(0)]),
            measurement("shared_numpy", "read", "shared_memory", vec![shared(67)]),
            Measurement {
                prepare: Some("freeze".into()),
                ..measurement("shared_numpy", "read", "shared_memory", vec![shared(66)])
            },
        ],
    }
}

/// The same with claims of every verdict, one of which was expected to be another.
pub fn run_with_claims(version: &str) -> Run {
    let claim = |id: &str, verdict, expected, limit: Option<&str>, why: Option<&str>| Claim {
        id: id.into(),
        statement: format!(
            "What the article says of {id} takes more than one line of a narrow terminal."
        ),
        verdict,
        expected,
        decided_by: why
            .is_none()
            .then(|| "80.1 % | of the list was copied".into()),
        limit: limit.map(Into::into),
        not_testable_because: why.map(Into::into),
        figures: BTreeMap::from([
            (
                "deleted".into(),
                Figure {
                    value: Value::Count(1000),
                    unit: Unit::Count,
                },
            ),
            (
                "least".into(),
                Figure {
                    value: Value::Number(0.0012),
                    unit: Unit::Share,
                },
            ),
            (
                "payload_pages".into(),
                Figure {
                    value: Value::Count(96_027),
                    unit: Unit::Pages,
                },
            ),
        ]),
        evidence: vec!["ints/iterate".into(), "observed/deletion".into()],
        rules_sha256: None,
    };
    Run {
        began: Some("2026-11-28T16:22:01Z".into()),
        seconds: Some(41.4),
        claims: vec![
            claim(
                "zero-deletes",
                Verdict::Holds,
                Verdict::HoldsWithLimits,
                None,
                None,
            ),
            claim(
                "entire-list",
                Verdict::HoldsWithLimits,
                Verdict::HoldsWithLimits,
                Some("no payload page was"),
                None,
            ),
            claim(
                "read-only",
                Verdict::DoesNotHold,
                Verdict::DoesNotHold,
                None,
                None,
            ),
            claim(
                "fork-shares",
                Verdict::NotTestableHere,
                Verdict::Holds,
                None,
                Some("ptrace is forbidden here"),
            ),
        ],
        ..run(version)
    }
}

/// The same with advice: one visit that a remedy helps, one that none does.
pub fn run_with_advice(version: &str) -> Run {
    let mut run = run(version);
    // What parent and children take together: the third visit copies, the fourth has a peak.
    let with_memory = |measurement: &mut Measurement, after: u64, peak: u64| {
        measurement.tree.memory_bytes_before = Some(400 << 20);
        measurement.tree.memory_bytes_after = Some((400 << 20) + after);
        for child in &mut measurement.children {
            let copied = child.totals().unshared * 4096;
            child.peak = Some(Peak {
                bytes: copied.max(peak),
                looks: 3,
                copied_pages: None,
            });
        }
    };
    for place in [2, 3] {
        with_memory(&mut run.measurements[place], 2 << 20, 1 << 20);
    }
    let visits: Vec<_> = run.measurements.iter().take(4).cloned().collect();
    let with = |place: usize, remedy: &str, header, saved: u64| {
        let mut measurement = visits[place].clone();
        measurement.prepare = Some(remedy.into());
        for child in &mut measurement.children {
            child.regions[0].unshared = header;
            child.regions[0].identical = Some(0);
            // Nobody asks who wrote while remedies are timed.
            without_causes(child);
            with_faults(child);
        }
        with_memory(&mut measurement, (2 << 20) - saved, (1 << 20) - saved / 2);
        measurement
    };
    let advice = |place: usize, finding: &str, remedies: Vec<Tried>, again: Option<_>| {
        let of: &Measurement = &visits[place];
        let pages = of.children.iter().map(|child| child.totals().unshared);
        Advice {
            fixture: of.fixture.clone(),
            visit: of.visit.clone(),
            count: of.count,
            item_bytes: of.item_bytes,
            parameters: of.parameters.clone(),
            arguments: of.arguments.clone(),
            prepare: None,
            finding: finding.into(),
            copied_bytes: pages.max().unwrap() * 4096,
            noise_bytes: 65_536,
            parent_bytes: Some(400 << 20),
            tree: of.tree_bytes(4096),
            tree_noise_bytes: of.tree_bytes(4096).map(|_| 196_608),
            visit_seconds: match of.tree_bytes(4096) {
                Some(_) => vec![0.001, 0.001_1, 0.001_05],
                None => Vec::new(),
            },
            remedies,
            measured_again: again,
        }
    };
    let again_measured = with(2, "packed-arrays", 3, 940 << 10);
    run.measurements.extend([
        with(2, "packed-arrays", 2, 944 << 10),
        with(2, "gc.freeze", 121, 0),
        with(2, "gc.newer", 121, 0),
        with(3, "gc.freeze", 121, 0),
    ]);
    let tried = |place: usize, remedy: &str, saved_pages: i64, compared| {
        let mut measured = run.measurements.iter();
        let measured = measured
            .find(|one| one.visit == visits[place].visit && one.prepare.as_deref() == Some(remedy));
        Tried {
            remedy: remedy.into(),
            saved_bytes: Some(saved_pages * 4096),
            prepare_seconds: Some(0.25),
            prepare_peak_bytes: Some(600 << 20),
            parent_bytes: Some(200 << 20),
            tree: measured.unwrap().tree_bytes(4096),
            compared,
            ..Tried::default()
        }
    };
    let packed = |place, compared| Tried {
        visit_seconds: vec![0.002, 0.002_1, 0.002_05],
        replaced: vec!["data['a|b'] (20,000 dicts) as packed arrays".into()],
        kept: vec![
            "data['small'] (40 elements) stays: data['small'] holds int and str side by side"
                .into(),
        ],
        code: vec![
            "def before_fork(data):".into(),
            "    data['a|b'] = `packed`(data['a|b'])".into(),
            "    return data".into(),
        ],
        ..tried(place, "packed-arrays", 119, compared)
    };
    let none = |remedy: &str, why: &str| Tried {
        remedy: remedy.into(),
        does_not_apply: Some(why.into()),
        ..Tried::default()
    };
    let again = MeasuredAgain {
        saved_bytes: 118 * 4096,
        tree: again_measured.tree_bytes(4096),
        measurement: again_measured,
    };
    let before = "CPython before 3.15 has no call for it (PyUnstable_SetImmortal)";
    let room = "there is no room for 393216000 bytes in /dev/shm: No space left on device";
    let raised = "with it the visit raised TypeError: a | b";
    run.advice = vec![
        advice(
            2,
            "Best: packed arrays. All processes together take 401.1 MiB instead of 402 MiB, 944 KiB less (0.23 %); a child copies \
             40 KiB instead of 516 KiB; measured again: 940 KiB saved. The visit takes 2.0 times as long.",
            vec![
                packed(2, Some(Compared::NothingReturned)),
                Tried {
                    refreeze_bytes: Some(3 << 20),
                    ..tried(2, "gc.freeze", 0, None)
                },
                tried(2, "gc.newer", 0, None),
                none("shared-memory", room),
                none("immortal-objects", before),
            ],
            Some(Box::new(again)),
        ),
        advice(
            3,
            "Nothing that refcow tries saves more than noise: a child copies 548 KiB: 121 of 137 pages are pages of objects; \
             what wrote there was not recorded. Not measured: packed arrays: with it the visit raised TypeError: a | b. Not measured: \
             shared memory: there is no room for 393216000 bytes in /dev/shm: No space left on device.",
            vec![
                tried(3, "gc.freeze", 0, None),
                none("packed-arrays", raised),
                none("shared-memory", room),
                none("immortal-objects", before),
            ],
            None,
        ),
        advice(
            1,
            "Nothing here helps: a child copies and makes almost nothing anyway (44 KiB).",
            Vec::new(),
            None,
        ),
    ];
    run
}

/// Ways to hand data over: one with everything known, one that hangs and of which little is known.
pub fn alternatives() -> Vec<Alternative> {
    let receiver = |copied_pages: i64, piped_bytes| Receiver {
        first_read_seconds: 0.000_003,
        read_all_seconds: 0.017,
        own_pages: (160 + copied_pages).cast_unsigned(),
        copied_pages,
        piped_bytes,
    };
    let list = Alternative {
        way: "list".into(),
        title: "fork: list of ints".into(),
        contents: Contents::Ints,
        start_method: StartMethod::Fork,
        size_bytes: 4 << 20,
        start_seconds: 0.002,
        prepare_seconds: None,
        handover_seconds: 0.004,
        pss_bytes_held: Some(43 << 20),
        pss_bytes_read: Some(75 << 20),
        memory_bytes_held: Some(34 << 20),
        memory_bytes_read: Some(67 << 20),
        writes_seen_by_parent: false,
        writes_seen_by_sibling: Some(false),
        container_survives: true,
        elements_survive: true,
        after_child_killed: AfterKill::Usable,
        left_after_kill: Vec::new(),
        reference_own_pages: 160,
        children: vec![receiver(4_115, Some(0)), receiver(4_116, Some(0))],
    };
    let pool = Alternative {
        way: "pool".into(),
        title: "Pool.map | <b>".into(),
        contents: Contents::Bitarrays,
        start_method: StartMethod::Spawn,
        prepare_seconds: Some(0.01),
        pss_bytes_read: None,
        memory_bytes_read: None,
        container_survives: false,
        elements_survive: false,
        after_child_killed: AfterKill::Hangs {
            after_seconds: 2.0,
            later_done: false,
        },
        left_after_kill: vec![Leftover::Socket, Leftover::File],
        children: vec![receiver(-2, None), receiver(12, None)],
        ..list.clone()
    };
    vec![list, pool]
}

/// A fact that came true and one that did not.
pub fn facts() -> Vec<Fact> {
    let fact = |id: &str, outcome, found: &str| Fact {
        id: id.into(),
        statement: format!("What is known as {id}."),
        source: "PEP 683; gh-84436".into(),
        changes: vec!["3.12".into()],
        outcome,
        found: Some(found.into()),
        not_testable_because: None,
        figures: BTreeMap::from([(
            "rise".into(),
            Figure {
                value: Value::Count(1_000),
                unit: Unit::Count,
            },
        )]),
        evidence: vec!["observed/refcounts".into()],
        rules_sha256: None,
    };
    vec![
        fact("immortal", Outcome::AsPredicted, "counts rise"),
        fact("smaller", Outcome::Otherwise, "counts | rise"),
    ]
}
