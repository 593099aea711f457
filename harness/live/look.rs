//! One look at all members of a tree: their pages, address by address, in memory that does not grow with theirs.

use std::ops::Range;

use procfs::process::Process;

use super::map::MapDraft;
use super::tree::FamilyTree;
use super::who::{Address, Class, Entry};
use crate::model::trees::AddressMap;
use crate::observe::{self, FrameFlags, PageSet, Pagemap, Word, mappings, page_size};

/// Pages looked at before the next stretch is read: words of one member that stay in the processor's nearest cache.
const STRETCH: u64 = 4096;

/// Pages of a stretch that are looked at together where they are likely to be alike.
const TOGETHER: usize = 64;

/// Pages of one member, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberPages {
    /// Shared with an ancestor, or where none has it, with another relative.
    pub shared: u64,
    /// The member wrote.
    pub copied: u64,
    /// An ancestor wrote.
    pub left_behind: u64,
    /// Both did.
    pub both: u64,
    /// In huge pages of the member's own.
    pub huge: u64,
    /// Nobody knows who wrote.
    pub unknown: u64,
    /// At an address at which no ancestor has any.
    pub new: u64,
    /// Of a member without an ancestor: shared with no relative.
    pub own: u64,
    /// Written anew by this member while a descendant had what was there before.
    pub rewritten: u64,
    /// In swap.
    pub swapped: u64,
    /// Of files, and of memory that is shared to write to.
    pub files: u64,
}

impl MemberPages {
    fn add(&mut self, class: Class, pages: u64) {
        *match class {
            Class::Shared => &mut self.shared,
            Class::Copied => &mut self.copied,
            Class::LeftBehind => &mut self.left_behind,
            Class::Both => &mut self.both,
            Class::Huge => &mut self.huge,
            Class::Unknown => &mut self.unknown,
            Class::New => &mut self.new,
            Class::Own => &mut self.own,
            Class::Swapped => &mut self.swapped,
            Class::File => &mut self.files,
        } += pages;
    }

    /// Anonymous pages in memory.
    pub fn anonymous(&self) -> u64 {
        self.shared + self.unshared()
    }

    /// Those of them that no ancestor shares.
    pub fn unshared(&self) -> u64 {
        self.copied + self.left_behind + self.both + self.huge + self.unknown + self.new + self.own
    }
}

/// What a tree has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// For each member.
    pub members: Vec<MemberPages>,
    /// Bytes of page tables of each; `None` where the kernel does not say.
    pub page_tables: Vec<Option<u64>>,
    /// Whether page frames were seen.
    pub with_frames: bool,
    /// Whether the kernel's marks of frames were.
    pub with_marks: bool,
    /// Different anonymous pages of all together, where frames were seen; else from PSS, which counts each page once in the whole tree.
    /// `None`: the kernel tells neither.
    pub distinct: Option<u64>,
    /// As many there would be if everything that was shared at a fork still were.
    pub if_shared: u64,
    /// Different pages of files.
    pub files: u64,
    /// What is still shared of the memory of the member that has forked most.
    pub map: Option<AddressMap>,
}

/// Looks at a tree, and draws a map if that is wanted.
///
/// # Errors
/// When a member has ended, or may not be read.
pub fn look(tree: &FamilyTree, with_map: bool) -> Result<Look, observe::Error> {
    let members = tree.members.iter();
    let opened: Result<Vec<Pagemap>, _> = members.map(|member| Pagemap::open(member.pid)).collect();
    let opened = opened?;
    let flags = FrameFlags::open();
    let mut sweep = Sweep::new(tree, &opened, flags.as_ref())?;
    sweep.map = with_map.then(|| MapDraft::of(tree)).flatten();
    sweep.all()?;
    if let Some(map) = sweep.map {
        sweep.look.map = map.finished(tree)?;
    }
    let mut look = sweep.look;
    look.with_marks = look.with_frames && flags.is_some();
    if !look.with_frames {
        look.distinct = proportional(tree)?;
    }
    for member in &tree.members {
        let status = Process::new(member.pid).and_then(|process| process.status());
        let kilobytes = status.ok().and_then(|status| status.vmpte);
        look.page_tables
            .push(kilobytes.map(|kilobytes| kilobytes * 1024));
    }
    Ok(look)
}

/// How many anonymous pages all members have, each once; `None`: the kernel does not tell. Who wrote each is not asked, which takes a call
/// for each page that is not shared.
///
/// # Errors
/// As [`look`].
pub fn distinct(tree: &FamilyTree) -> Result<Option<u64>, observe::Error> {
    let members = tree.members.iter();
    let opened: Result<Vec<Pagemap>, _> = members.map(|member| Pagemap::open(member.pid)).collect();
    let opened = opened?;
    let mut sweep = Sweep::new(tree, &opened, None)?;
    if !sweep.look.with_frames {
        return proportional(tree);
    }
    sweep.all()?;
    Ok(sweep.look.distinct)
}

/// Anonymous pages of all members by PSS (`Pss_Anon` of smaps_rollup, Linux 5.3): the sum of their parts of each.
fn proportional(tree: &FamilyTree) -> Result<Option<u64>, observe::Error> {
    let mut bytes = 0;
    for member in &tree.members {
        match observe::anonymous_pss(member.pid)? {
            Some(part) => bytes += part,
            None => return Ok(None),
        }
    }
    Ok(Some(bytes / page_size()))
}

struct Sweep<'a> {
    tree: &'a FamilyTree,
    pagemaps: &'a [Pagemap],
    flags: Option<&'a FrameFlags>,
    mapped: Vec<Vec<Range<u64>>>,
    /// Pages in huge pages, and pages of zeros, of each member.
    special: Vec<[PageSet; 2]>,
    look: Look,
    /// The words of one stretch, for each member.
    words: Vec<Vec<Word>>,
    buffer: Vec<u8>,
    /// Room for one address.
    entries: Vec<Entry>,
    address: Address,
    map: Option<MapDraft>,
}

impl<'a> Sweep<'a> {
    fn new(
        tree: &'a FamilyTree,
        pagemaps: &'a [Pagemap],
        flags: Option<&'a FrameFlags>,
    ) -> Result<Self, observe::Error> {
        let mut mapped = Vec::new();
        let mut special = Vec::new();
        for (member, pagemap) in tree.members.iter().zip(pagemaps) {
            let ranges = mappings(member.pid)?.ranges;
            special.push(pagemap.huge_and_zero(&ranges)?.unwrap_or_default());
            mapped.push(ranges);
        }
        let look = Look {
            members: vec![MemberPages::default(); pagemaps.len()],
            with_frames: shows_frames(),
            distinct: Some(0),
            ..Look::default()
        };
        Ok(Self {
            tree,
            pagemaps,
            flags,
            mapped,
            special,
            look,
            words: vec![Vec::new(); pagemaps.len()],
            buffer: Vec::new(),
            entries: Vec::new(),
            address: Address::default(),
            map: None,
        })
    }

    fn all(&mut self) -> Result<(), observe::Error> {
        let pagemaps = self.pagemaps;
        let mut gaps: Vec<_> = pagemaps.iter().map(Pagemap::gaps).collect();
        for range in union(&self.mapped) {
            let mut page = range.start;
            let mut nothing = true;
            while page < range.end {
                if nothing && range.end - page > STRETCH {
                    let mut next = range.end;
                    for (place, gaps) in gaps.iter_mut().enumerate() {
                        let part = page..next;
                        let first = self.mapped[place].iter().find(|one| one.end > part.start);
                        let Some(first) = first.filter(|one| one.start < part.end) else {
                            continue;
                        };
                        let from = first.start.max(page);
                        let found = gaps.end(from, &(from..next));
                        next = found.map_err(|error| observe::Error::Proc {
                            pid: self.tree.members[place].pid,
                            file: "pagemap",
                            source: Box::new(error.into()),
                        })?;
                    }
                    page = next;
                    if page == range.end {
                        break;
                    }
                }
                let end = range.end.min(page + STRETCH);
                nothing = !self.stretch(page..end)?;
                page = end;
            }
        }
        Ok(())
    }

    /// Reads and counts one stretch; whether anything was in it.
    fn stretch(&mut self, pages: Range<u64>) -> Result<bool, observe::Error> {
        let length = usize::try_from(pages.end - pages.start).unwrap_or(0);
        for (place, pagemap) in self.pagemaps.iter().enumerate() {
            let words = &mut self.words[place];
            words.clear();
            words.resize(length, Word::default());
            let mapped = &self.mapped[place];
            let first = mapped.partition_point(|range| range.end <= pages.start);
            for mapped in mapped[first..]
                .iter()
                .take_while(|range| range.start < pages.end)
            {
                let part = mapped.start.max(pages.start)..mapped.end.min(pages.end);
                let index = |page: u64| usize::try_from(page - pages.start).unwrap_or(0);
                let words = &mut words[index(part.start)..index(part.end)];
                pagemap.read(part.start, words, &mut self.buffer)?;
            }
        }
        let mut anything = false;
        for first in (0..length).step_by(TOGETHER) {
            let group = first..length.min(first + TOGETHER);
            anything |= self.group(pages.start + first as u64, group);
        }
        Ok(anything)
    }

    /// Counts pages that stand side by side; whether anything is there.
    fn group(&mut self, page: u64, group: Range<usize>) -> bool {
        let somewhere =
            |words: &Vec<Word>| words[group.clone()].iter().any(|word| !word.is_nowhere());
        let present: Vec<usize> = (0..self.words.len())
            .filter(|place| somewhere(&self.words[*place]))
            .collect();
        let Some(first) = present.first() else {
            return false;
        };
        let words = &self.words[*first][group.clone()];
        let alike = present[1..]
            .iter()
            .all(|place| &self.words[*place][group.clone()] == words);
        // All the same in all members that have any: shared.
        let shared = |word: &Word| word.is_anonymous() && !word.is_exclusive();
        if alike && present.len() > 1 && words.iter().all(shared) && !self.has_zeros(page, &group) {
            let number = group.len() as u64;
            if let Some(map) = &mut self.map {
                map.shared_by(page, number, &present);
            }
            for place in present {
                self.look.members[place].add(Class::Shared, number);
            }
            self.look.if_shared += number;
            if let (true, Some(distinct)) = (self.look.with_frames, &mut self.look.distinct) {
                *distinct += number;
            }
            return true;
        }
        for (index, page) in group.zip(page..) {
            self.page(page, index);
        }
        true
    }

    fn has_zeros(&self, page: u64, group: &Range<usize>) -> bool {
        let end = page + group.len() as u64;
        self.special
            .iter()
            .any(|[_, zero]| !zero.is_empty() && zero.range_cardinality(page..end) > 0)
    }

    fn page(&mut self, page: u64, index: usize) {
        let entry = |(words, [huge, zero]): (&Vec<Word>, &[PageSet; 2])| {
            let word = words[index];
            match word {
                _ if word.is_nowhere() => Entry::Nothing,
                _ if word.is_swapped() => Entry::Swapped,
                _ if word.is_of_file() => Entry::File,
                _ if zero.contains(page) => Entry::Nothing,
                _ => Entry::Anonymous {
                    alone: word.is_exclusive(),
                    frame: word.frame().unwrap_or(0),
                    huge: huge.contains(page),
                },
            }
        };
        self.entries.clear();
        let entries = self.words.iter().zip(&self.special).map(entry);
        self.entries.extend(entries);
        let flags = self.flags;
        let mut written = |frame, huge| flags?.is_written_since_fork(frame, huge);
        let with_frames = self.look.with_frames;
        let (entries, address) = (&self.entries, &mut self.address);
        self.tree
            .classify(entries, with_frames, &mut written, address);
        for (member, class) in self.look.members.iter_mut().zip(&address.classes) {
            if let Some(class) = class {
                member.add(*class, 1);
            }
        }
        if let Some(map) = &mut self.map {
            map.page(page, &address.classes);
        }
        for place in &address.rewritten {
            self.look.members[*place].rewritten += 1;
        }
        self.look.if_shared += address.if_shared;
        self.look.files += address.files;
        if let (true, Some(distinct)) = (with_frames, &mut self.look.distinct) {
            *distinct += address.distinct;
        }
    }
}

/// Whether this process sees page frames: asked of its own stack, as a container's root may not.
fn shows_frames() -> bool {
    let here = 0_u8;
    let page = (&raw const here).addr() as u64 / page_size();
    let own = Pagemap::open(std::process::id().cast_signed());
    own.is_ok_and(|own| own.word(page).frame().is_some())
}

/// Ranges that hold all of these, in ascending order.
fn union(all: &[Vec<Range<u64>>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = all.iter().flatten().cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut union: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match union.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => union.push(range),
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_several_processes_become_one_list() {
        let all = [vec![1..3, 10..12], vec![2..5, 12..14, 20..21]];
        assert_eq!(union(&all), [1..5, 10..14, 20..21]);
        assert!(union(&[]).is_empty());
    }
}
