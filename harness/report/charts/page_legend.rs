//! What the colours of pages mean.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::sketch::{MARGIN, Sketch, WIDTH};
use super::theme::{self, Colour};
use refcow_model::{Cause, Fate, PageMap, RegionName};

/// What has been drawn, for the legend.
#[derive(Default)]
pub(super) struct Drawn(BTreeSet<(RegionName, Fate)>);

impl Drawn {
    pub(super) fn add(&mut self, name: RegionName, map: &PageMap) {
        self.0
            .extend(map.fates().into_keys().map(|fate| (name, fate)));
    }
}

/// What a region is, for whoever meets the word here first.
pub(super) fn what(name: RegionName) -> &'static str {
    match name {
        RegionName::Header => "objects with their reference counts",
        RegionName::Spine => "arrays of pointers",
        RegionName::Payload => "content out of line",
        RegionName::Native => "allocated while building, owned by C",
        RegionName::Segment => "content in shared memory",
        RegionName::Modules => "objects of modules and classes",
        RegionName::Interpreter => "the interpreter's own objects",
        RegionName::Libraries => "variables of libraries",
        RegionName::Stack => "stacks of threads",
        RegionName::Rest => "the rest of the process",
    }
}

/// What the colours mean that are there.
pub(super) fn legend(sketch: &mut Sketch, top: i32, seen: &Drawn) -> i32 {
    let mut shared = Vec::new();
    let mut copied: BTreeSet<(Option<Cause>, Reverse<Option<bool>>)> = BTreeSet::new();
    let mut on_the_way = false;
    for (name, fate) in &seen.0 {
        match *fate {
            Fate::Shared => {
                shared.push((theme::region(*name), format!("{}, shared", name.as_str())))
            }
            Fate::OnTheWay => on_the_way = true,
            Fate::Copied { cause, identical } => {
                let cause = cause.filter(|cause| *cause != Cause::Unattributed);
                copied.insert((cause, Reverse(identical)));
            }
        }
    }
    // What has one colour has one entry.
    let mut entries: Vec<(Colour, String)> = shared;
    let mut of_cause: Vec<(Colour, Option<Cause>, Vec<&str>)> = Vec::new();
    for (cause, Reverse(identical)) in copied {
        let bytes = match identical {
            Some(true) => "identical",
            Some(false) => "changed",
            None => "bytes not compared",
        };
        let colour = theme::fate(RegionName::Rest, Fate::Copied { cause, identical });
        match of_cause.iter_mut().find(|(known, ..)| *known == colour) {
            Some((.., words)) => words.push(bytes),
            None => of_cause.push((colour, cause, vec![bytes])),
        }
    }
    of_cause.sort_by_key(|(_, cause, _)| (cause.is_none(), *cause));
    entries.extend(of_cause.into_iter().map(|(colour, cause, bytes)| {
        let words = cause.map_or_else(
            || "copied, cause unknown".to_owned(),
            |cause| format!("copied for {}", words(cause)),
        );
        (colour, format!("{words}, {}", bytes.join(" or ")))
    }));
    if on_the_way {
        let colour = theme::fate(RegionName::Rest, Fate::OnTheWay);
        entries.push((colour, "copied before the visit began".to_owned()));
    }
    sketch.path(vec![(MARGIN, top), (WIDTH - MARGIN, top)], 1, theme::LINE);
    sketch.legend(top + 10, &entries)
}

/// What a cause is, for whoever meets the word here first.
fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::Refcount => "a reference count",
        Cause::Gc => "the garbage collector",
        Cause::Buffer => "an object's content",
        Cause::Body => "another field of an object",
        Cause::Allocator => "the allocator",
        Cause::Kernel => "the kernel",
        Cause::Khugepaged => "khugepaged",
        Cause::Unattributed => "an unknown cause",
    }
}
