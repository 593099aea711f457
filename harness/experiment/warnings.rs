//! What limits the figures of a run, and what is missing from it.

use std::collections::BTreeSet;

use super::lines::LineLog;
use super::visit::VisitRecord;
use crate::fixtures::Fixture;
use crate::machine;
use crate::model::{self, Environment, RegionMap, Warning};
use crate::objects::ObjectMap;
use crate::observe::page_size;

/// Something, or one visit of it, is not in the report.
pub(super) fn not_measured(what: &str, visit: Option<&str>, reason: String) -> Warning {
    Warning::NotMeasured {
        fixture: what.to_owned(),
        visit: visit.map(str::to_owned),
        reason,
    }
}

/// Warnings that do not depend on a fixture.
pub(super) fn of_machine(environment: &Environment) -> BTreeSet<Warning> {
    let mut warnings = BTreeSet::new();
    if environment.ksm.running == Some(true) {
        warnings.insert(Warning::KsmRunning);
    }
    let huge_pages = &environment.transparent_huge_pages;
    if !huge_pages.disabled_in_subject
        && let Some(reason) = machine::no_huge_pages(huge_pages.enabled.as_deref())
    {
        warnings.insert(Warning::NoHugePagesToKeep {
            reason: reason.into(),
        });
    }
    if machine::page_mapcount_missing() {
        warnings.insert(Warning::NoPageMapcount);
    }
    warnings
}

/// What the mapper could not look at, or has no room for.
pub(super) fn of_map(fixture: &Fixture, map: &RegionMap, objects: &ObjectMap) -> Vec<Warning> {
    let fixture = &fixture.name;
    let mut warnings = Vec::new();
    if !map.not_walked.is_empty() {
        warnings.push(Warning::NotWalked {
            fixture: fixture.clone(),
            types: map
                .not_walked
                .iter()
                .map(|held| held.of_type.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            objects: Some(map.not_walked.iter().map(|held| held.objects).sum()),
            pages: Some(
                map.not_walked
                    .iter()
                    .map(|held| held.bytes)
                    .sum::<u64>()
                    .div_ceil(page_size()),
            ),
        });
    }
    if !map.compiled.is_empty() {
        let some: Vec<&str> = map.compiled.iter().take(3).map(String::as_str).collect();
        let more = if map.compiled.len() > some.len() {
            ", …"
        } else {
            ""
        };
        warnings.push(Warning::NoByteCode {
            fixture: fixture.clone(),
            modules: map.compiled.len() as u64,
            examples: format!("{}{more}", some.join(", ")),
        });
    }
    if objects.left_out() > 0 {
        warnings.push(Warning::ObjectsLeftOut {
            fixture: fixture.clone(),
            objects: objects.left_out(),
        });
    }
    warnings
}

/// What limits the figures of a visit.
pub(super) fn of_visit(
    fixture: &Fixture,
    visit: &str,
    outcome: &VisitRecord,
    keep_huge_pages: bool,
) -> Vec<Warning> {
    let fixture = &fixture.name;
    let mut warnings = Vec::new();
    if let Some(unavailable) = &outcome.causes_unknown {
        warnings.push(Warning::CausesUnknown {
            reason: unavailable.reason.clone(),
            remedy: unavailable.remedy.clone(),
        });
    }
    let lost = outcome.children.iter().map(|child| child.lost_faults).max();
    if let Some(faults) = lost.filter(|lost| *lost > 0) {
        warnings.push(Warning::FaultsLost {
            fixture: fixture.clone(),
            visit: visit.to_owned(),
            faults,
        });
    }
    if let Some(reason) = &outcome.identical_unknown {
        warnings.push(Warning::IdenticalUnknown {
            reason: reason.clone(),
        });
    }
    if let Some(returned) = &outcome.lazy {
        warnings.push(Warning::NothingConsumed {
            fixture: fixture.clone(),
            visit: visit.to_owned(),
            returned: model::printable(returned),
        });
    }
    if outcome.swapped_pages > 0 {
        warnings.push(Warning::PagesInSwap {
            fixture: fixture.clone(),
            pages: outcome.swapped_pages,
        });
    }
    let on_the_way =
        |child: &model::Child| -> u64 { child.copied_on_the_way.iter().map(|one| one.pages).sum() };
    let most = outcome.children.iter().map(on_the_way).max();
    if let Some(pages) = most.filter(|pages| *pages > 0) {
        warnings.push(Warning::CopiedOnTheWay {
            fixture: fixture.clone(),
            visit: visit.to_owned(),
            pages,
        });
    }
    let huge = (outcome.parent.huge_bytes).filter(|bytes| *bytes > 0 && !keep_huge_pages);
    if let Some(bytes) = huge {
        warnings.push(Warning::HugePagesInSubject {
            fixture: fixture.clone(),
            bytes,
        });
    }
    if outcome.parent.threads > 1 {
        warnings.push(Warning::ThreadsAtFork {
            fixture: fixture.clone(),
            threads: outcome.parent.threads,
        });
    }
    warnings
}

/// What keeps page faults of a visit from having a line.
pub(super) fn of_lines(fixture: &Fixture, visit: &str, log: &LineLog) -> Option<Warning> {
    (log.cut_short() || log.dropped() > 0).then(|| Warning::LinesIncomplete {
        fixture: fixture.name.clone(),
        visit: visit.to_owned(),
        dropped: log.dropped(),
        cut_short: log.cut_short(),
    })
}
