//! What each of several workers has made for itself, and is the same in all of them: what their parent could have had before it forked.

use std::collections::BTreeSet;

use super::python::{LivePython, python_of};
use super::tree::FamilyTree;
use crate::model::trees::AlikeFigures;
use crate::observe::headers::Headers;
use crate::observe::{
    self, LiveMemory, PageSet, code_mappings, identical_pages, mappings, page_states, zero_pages,
};

/// While pages come and go, they are compared anew so often.
const TRIES: usize = 3;

/// Of each member that has forked several that live. The bytes of the new pages of all of these are read, so that this takes longer than to
/// look at them.
///
/// # Errors
/// When a member may not be read.
pub fn alike(tree: &FamilyTree) -> Result<Vec<AlikeFigures>, observe::Error> {
    let mut all = Vec::new();
    for parent in 0..tree.members.len() {
        let members = 0..tree.members.len();
        let children: Vec<i32> = members
            .filter(|place| tree.ancestors[*place].first() == Some(&parent))
            .map(|place| tree.members[place].pid)
            .collect();
        if children.len() < 2 {
            continue;
        }
        let pid = tree.members[parent].pid;
        let mut tries = 1;
        let found = loop {
            match of_children(pid, &children) {
                // A page has gone since it was listed, or a process has.
                Err(_) if tries < TRIES => tries += 1,
                found => break found,
            }
        };
        all.extend(found?);
    }
    Ok(all)
}

/// `None` where none has new memory.
fn of_children(parent: i32, children: &[i32]) -> Result<Option<AlikeFigures>, observe::Error> {
    // The parent last: what it makes meanwhile at the same address is not the workers'.
    let mut new: Option<PageSet> = None;
    for pid in children {
        let states = page_states(*pid, &mappings(*pid)?.ranges)?;
        // What several share was their parent's, and the parent has given it back.
        let own = &states.anonymous() & &states.exclusive();
        new = Some(match new {
            None => own,
            Some(before) => before & own,
        });
    }
    let held = page_states(parent, &mappings(parent)?.ranges)?;
    let new = new.unwrap_or_default() - held.anonymous() - held.swapped();
    let zero = zero_pages(children[0], &new)?;
    let mut same = new.clone();
    for pid in &children[1..] {
        same = identical_pages(children[0], *pid, &same)?;
    }
    if new.is_empty() {
        return Ok(None);
    }
    let (modules, modules_unseen) = match modules(parent, children) {
        Ok(modules) => (Some(modules), None),
        Err(why) => (None, Some(why.to_owned())),
    };
    Ok(Some(AlikeFigures {
        parent_pid: parent,
        workers: children.len() as u64,
        new_pages: new.len(),
        alike_pages: (&same - &zero).len(),
        zero_pages: (&same & &zero).len(),
        libraries: libraries(parent, children)?,
        modules,
        modules_unseen,
    }))
}

/// Modules that all children have imported, and their parent has not, in the order in which the first of them has. Or why that is not known.
fn modules(parent: i32, children: &[i32]) -> Result<Vec<String>, &'static str> {
    let python = python_of(parent).ok().flatten();
    let python = python.ok_or("it is not CPython")?;
    if python.free_threaded {
        return Err("objects of a Python without the GIL are not read");
    }
    let of = |pid: i32| imported(&python, pid).ok_or("sys.modules could not be read");
    let mut all = of(children[0])?;
    for pid in &children[1..] {
        let other: BTreeSet<String> = of(*pid)?.into_iter().collect();
        all.retain(|name| other.contains(name));
    }
    let before: BTreeSet<String> = of(parent)?.into_iter().collect();
    all.retain(|name| !before.contains(name));
    Ok(all)
}

fn imported(python: &LivePython, pid: i32) -> Option<Vec<String>> {
    let mut memory = LiveMemory::open(pid).ok()?;
    let read = |address: u64, buffer: &mut [u8]| memory.read(address, buffer);
    Headers::new(python.known_minor()?, read).modules(python.runtime(pid)?)
}

/// Files with code that all children have mapped, and their parent has not.
fn libraries(parent: i32, children: &[i32]) -> Result<Vec<String>, observe::Error> {
    let files = |pid: i32| -> Result<BTreeSet<String>, observe::Error> {
        let maps = code_mappings(pid)?.into_iter();
        let paths = maps.filter(|map| map.path.is_absolute());
        let names = paths.filter_map(|map| {
            let name = map.path.file_name()?;
            Some(crate::model::printable(&name.to_string_lossy()))
        });
        Ok(names.collect())
    };
    let mut all = files(children[0])?;
    for pid in &children[1..] {
        let other = files(*pid)?;
        all.retain(|name| other.contains(name));
    }
    let before = files(parent)?;
    Ok(all
        .into_iter()
        .filter(|name| !before.contains(name))
        .collect())
}
