//! Who wrote the pages of a child, and what stands on its new ones.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::VisitError;
use super::looks::VisitedChild;
use super::pages::own;
use crate::experiment::causes::{FirstWrite, Huge, RecordedVisit};
use crate::experiment::new_pages::NewPages;
use crate::observe::{
    Fault, Faults, StillMemory, code_mappings, headers::Headers, huge_pages, mappings, page_size,
};
use crate::symbols::Symbols;

/// What the recorded faults say of a child: the first on each page that it has copied, which made
/// the copy; the last on each page that is new, which made what is there now; and those on pages
/// that it had copied and has given back.
pub(super) fn explain(faults: &Faults, child: &mut VisitedChild) -> Result<(), VisitError> {
    let mut symbols = Symbols::of(code_mappings(child.ready.pid)?);
    // Most pages are written to by a handful of instructions.
    let mut names: HashMap<u64, Arc<str>> = HashMap::new();
    let mut write = |fault: &Fault| FirstWrite {
        address: fault.address,
        function: names
            .entry(fault.instruction)
            .or_insert_with(|| symbols.locate(fault.instruction).name().into())
            .clone(),
        time: fault.time,
        thread: fault.thread,
        line: None,
        own_line: None,
    };
    // A page that both still share was not copied, whatever the fault was for: where the kernel
    // moves pages between nodes, it has processes fault at them.
    let shared = child.ready.fork.shared();
    let still = shared & &(child.states.present() - child.states.exclusive());
    let (mut first, mut made) = (HashMap::new(), HashMap::new());
    let mut copied = child.unshared.clone();
    for fault in &faults.faults {
        let page = fault.address / page_size();
        if child.unshared.contains(page) {
            first.entry(page).or_insert_with(|| write(fault));
        } else if shared.contains(page) {
            if !still.contains(page) {
                copied.insert(page);
            }
        } else if child.growth.new.contains(page) {
            made.insert(page, *fault);
        }
    }
    let made = made
        .into_iter()
        .map(|(page, fault)| (page, write(&fault)))
        .collect();
    child.made = NewPages::new(&child.growth.new, made);
    child.copied_at_any_time = Some(copied.len());
    child.recorded = Some(RecordedVisit {
        first,
        lost: faults.lost,
        huge: huge(child)?,
    });
    Ok(())
}

/// Where a child has huge pages.
fn huge(child: &VisitedChild) -> Result<Huge, VisitError> {
    // The kernel need not be asked where they are if there are none.
    if child.after.counters.huge_bytes == Some(0) {
        return Ok(Huge::default());
    }
    let pid = child.ready.pid;
    let pages = huge_pages(pid, &mappings(pid)?.ranges)?;
    Ok(pages.map_or(Huge::Somewhere, Huge::Pages))
}

/// Finds what stands on a child's new pages; what has buffers there may itself have found room on
/// any page of the child's own. Where its memory cannot be read, nothing is known of them.
pub(super) fn name_types(version: &str, child: &mut VisitedChild) {
    let pid = child.ready.pid;
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok());
    let memory = mappings(pid).and_then(|mappings| StillMemory::new(pid, &mappings, &child.states));
    if let (Some(minor), Ok(memory)) = (minor, memory) {
        let mut headers = Headers::new(minor, |address, bytes: &mut [u8]| {
            memory.read(address, bytes)
        });
        child
            .made
            .name_types(headers.types_on(&child.growth.new, &own(&child.states)));
    }
}
