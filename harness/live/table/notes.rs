//! What is to be known of the figures of a tree, in sentences.

use crate::live::document::{
    LinesFigures, ProcessFigures, RecordedFigures, SeenBy, TreeFigures, UnseenProgram,
};
use crate::numbers::{counted, one_or_several};
use crate::observe::frames::NoLine;

/// What is to be known of lines.
fn notes_of_lines(lines: &LinesFigures) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &lines.no_frames {
        notes.push(format!("warning: no lines are known: {why}."));
        return notes;
    }
    let without: u64 = lines.without_line.iter().map(|one| one.number).sum();
    let known = lines.looked_at_pages - without.min(lines.looked_at_pages);
    let missed = NoLine::Missed.as_str();
    let any_missed = lines.without_line.iter().any(|one| one.reason == missed);
    let every = match lines.one_in {
        1 if any_missed => "page faults were".to_owned(),
        1 => "every page fault was".to_owned(),
        number => format!("one page fault in {number} was"),
    };
    notes.push(format!(
        "Lines: {every} looked at; {} with a known line.",
        counted(known, "page", "pages")
    ));
    for one in &lines.without_line {
        let pages = counted(one.number, "page has", "pages have");
        notes.push(format!("{pages} no line: {}.", one.reason));
    }
    if lines.not_traced_processes > 0 {
        let processes = counted(lines.not_traced_processes, "process was", "processes were");
        notes.push(format!(
            "warning: {processes} not looked at: {} before refcow traced {}.",
            one_or_several(
                lines.not_traced_processes,
                "it ended, or was forked,",
                "they ended, or were forked,"
            ),
            one_or_several(lines.not_traced_processes, "it", "them"),
        ));
    }
    for one in &lines.not_traced {
        let threads = counted(one.number, "thread was", "threads were");
        notes.push(format!("warning: {threads} not looked at: {}.", one.reason));
    }
    if lines.ended_early {
        notes.push("warning: the process that looks for lines ended early.".to_owned());
    }
    if lines.pauses > 0 {
        let times = counted(lines.pauses, "time", "times");
        notes.push(format!(
            "warning: {times} looking took too long, and no lines were looked for until it was over."
        ));
    }
    if lines.dropped > 0 {
        let stops = counted(lines.dropped, "page fault", "page faults");
        notes.push(format!(
            "warning: the lines of {stops} were lost, as refcow was too slow."
        ));
    }
    notes
}

/// Of what was recorded.
pub(super) fn of_recorded(recorded: &RecordedFigures) -> Vec<String> {
    let mut notes = Vec::new();
    if recorded.lost_faults > 0 {
        let lost = counted(recorded.lost_faults, "page fault", "page faults");
        notes.push(format!(
            "warning: {lost} left no record: what {} wrote is not among these.",
            one_or_several(recorded.lost_faults, "it", "they"),
        ));
    }
    if !recorded.with_kernel_writes {
        notes.push("Pages that the kernel wrote for a system call (read, recv) are not among these: recording them takes CAP_PERFMON, which root has outside of containers.".to_owned());
    }
    if recorded.unread_pages > 0 {
        let pages = counted(recorded.unread_pages, "copied page is", "copied pages are");
        notes.push(format!(
            "{pages} unattributed, as the memory of those who had what was there before could not be read: they had ended, or are not yours to read."
        ));
    }
    notes.extend(recorded.lines.iter().flat_map(notes_of_lines));
    notes.extend(unseen(recorded));
    for one in recorded.without_last_look.iter().flatten() {
        let processes = counted(one.number, "process was", "processes were");
        notes.push(format!(
            "{processes} not looked at when {} because {}.",
            one_or_several(one.number, "it ended,", "they ended, each"),
            one.reason
        ));
    }
    if recorded.executed > 0 {
        let executed = counted(recorded.executed, "process", "processes");
        notes.push(format!(
            "{executed} went on to execute another program and left the tree."
        ));
    }
    if recorded.processes.iter().any(|one| one.rewritten_pages > 0) {
        notes.push(
            "Rewritten: pages that a process copied because one that it had forked still had them."
                .to_owned(),
        );
    }
    if recorded
        .processes
        .iter()
        .any(|one| one.shutdown_pages > Some(0))
    {
        notes.push("At shutdown: of all these pages, those that were written first while the interpreter was ending.".to_owned());
    }
    if let Some(why) = &recorded.shutdown_unseen {
        notes.push(format!(
            "What was written while interpreters ended is not told apart: {why}."
        ));
    }
    if recorded.processes.iter().any(|one| one.unknown_pages > 0) {
        notes.push(
            "Unknown: nothing tells whether these pages were copied: all from which the process was forked had ended, or had given back what was there at the fork; or the process had ended before refcow looked, and they are new or of a file.".to_owned(),
        );
    }
    notes
}

/// Of objects that nobody knows.
pub(super) fn of_objects(tree: &TreeFigures) -> Option<String> {
    let why = tree.objects_unseen.as_ref()?;
    Some(format!(
        "Nothing is said of this Python's objects, so that what was written first is unattributed: {why}."
    ))
}

/// Of processes that run on when the program that was recorded has ended.
pub(super) fn of_survivors(tree: &TreeFigures) -> Option<String> {
    let recorded = tree
        .recorded
        .as_ref()
        .filter(|_| !tree.processes.is_empty())?;
    let mut oldest = recorded.processes.iter().filter(|one| one.depth == 0);
    // Of several nobody has forked another.
    let first = oldest.next().filter(|_| oldest.next().is_none())?;
    let living = recorded.processes.iter().filter(|one| !one.ended);
    let living: Vec<String> = living.map(|one| one.pid.to_string()).collect();
    let next = living.first().filter(|_| first.ended)?;
    let number = living.len() as u64;
    Some(format!(
        "Process {} has ended, and {} forked from it {} on: {}. To record {}: refcow attach {next}.",
        first.pid,
        counted(number, "process", "processes"),
        one_or_several(number, "runs", "run"),
        named(&living),
        one_or_several(number, "what it does now", "what they do now"),
    ))
}

/// `a, b, c and 2 others`: as many names as a sentence has room for.
fn named(all: &[String]) -> String {
    const NAMED: usize = 3;
    let named = all[..all.len().min(NAMED)].join(", ");
    match all.len().saturating_sub(NAMED) as u64 {
        0 => named,
        others => format!("{named} and {}", counted(others, "other", "others")),
    }
}

/// Of processes that were over at once.
fn unseen(recorded: &RecordedFigures) -> Vec<String> {
    let unseen = || recorded.processes.iter().filter(|one| one.ended_unseen);
    let mut notes = Vec::new();
    for program in unseen().filter(|one| one.depth == 0) {
        notes.push(format!(
            "{} had ended before refcow looked at it: which of its pages are new memory and which are of files is not known.",
            program.command
        ));
    }
    let workers = unseen().filter(|one| one.depth > 0).count() as u64;
    if workers > 0 {
        let workers = counted(workers, "process", "processes");
        notes.push(format!(
            "{workers} had ended before refcow looked: what was written where a parent has a page counts as copied, all else is unknown."
        ));
    }
    notes
}

/// Of programs that are in no tree.
pub(super) fn of_unseen_programs(all: &[UnseenProgram]) -> Option<String> {
    let number: u64 = all.iter().map(|one| one.number).sum();
    let names: Vec<String> = all.iter().map(|one| one.name.clone()).collect();
    let programs = counted(number, "program", "programs");
    let [what, are] = match number {
        1 => ["it runs", "is"],
        _ => ["they run", "are"],
    };
    (number > 0).then(|| {
        format!(
            "{programs} had ended before refcow saw what {what}, and {are} in no tree: {}.",
            named(&names)
        )
    })
}

/// Processes that are there, and what they were forked from is not.
pub(super) fn orphans(tree: &TreeFigures) -> u64 {
    let first = || tree.processes.iter().filter(|one| one.depth == 0);
    let recorded = tree.recorded.iter().flat_map(|one| &one.processes);
    let forked: Vec<i32> = recorded
        .filter(|one| one.depth > 0)
        .map(|one| one.pid)
        .collect();
    let seen = first().filter(|one| forked.contains(&one.pid)).count();
    // Of several, nobody has forked another.
    let several = first().count();
    seen.max(if several > 1 { several } else { 0 }) as u64
}

/// Of what the processes have now.
pub(super) fn of_now(tree: &TreeFigures) -> Vec<String> {
    let mut notes = Vec::new();
    let any = |pages: fn(&ProcessFigures) -> u64| tree.processes.iter().any(|one| pages(one) > 0);
    if tree.python.is_none() {
        notes.push(
            "This is not CPython: pages are counted, and nothing is said of objects.".to_owned(),
        );
    }
    if tree.seen_by == Some(SeenBy::MappedOnce) && tree.processes.len() > 1 {
        let mut note = "Without page frames, which take root (CAP_SYS_ADMIN), refcow sees whether a page has one user, not who else has it: a page that the parent rewrote between two forks counts as copied.".to_owned();
        if any(|one| one.unknown_pages) {
            note +=
                " Unknown: parent and worker each have their own page, and who wrote is not known.";
        }
        notes.push(note);
    } else if any(|one| one.unknown_pages) {
        notes.push(match tree.seen_by {
            Some(SeenBy::Frames) => "Unknown: parent and worker each have their own page; who wrote takes Linux 5.19 and a readable /proc/kpageflags.".to_owned(),
            _ => "Unknown: the page was written before a later fork of the same process, which leaves no trace of who wrote.".to_owned(),
        });
    }
    let orphans = orphans(tree);
    if orphans > 0 {
        notes.push(format!(
            "The parent of {} has ended: what {} copied of it is not told apart from what {} made, and counts as memory alone.",
            counted(orphans, "process", "processes"),
            one_or_several(orphans, "that process", "they"),
            one_or_several(orphans, "it", "they"),
        ));
    }
    if any(|one| one.rewritten_pages) {
        notes.push("Rewritten: pages that a parent wrote after a fork, while a worker had what was there before; each costs the tree one page.".to_owned());
    }
    if let Some(why) = &tree.alike_unseen {
        notes.push(format!("What workers have alike was not compared: {why}."));
    }
    if any(|one| one.huge_pages) {
        notes.push("Huge: pages that the kernel joined to a huge page of this process's own (khugepaged), which no write asked for.".to_owned());
    }
    notes
}
