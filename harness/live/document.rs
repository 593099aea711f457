//! What is known of trees, as a document: from looks and recordings to figures.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::alike::alike;
use super::cause::Key;
use super::family::Family;
use super::line_of::LineOf;
use super::lines::Missing;
use super::look::{Look, MemberPages, look};
use super::made_by_all::made_by_all;
use super::python::{LivePython, python_of};
use super::recording::{Deed, InterpreterPhase, RecordedMember};
use super::tracing::Traced;
use super::tree::FamilyTree;
use super::watch::{InProcess, Watched};
pub use crate::model::trees::*;
use crate::observe::{self, page_size};

/// These trees.
pub fn trees(trees: Vec<TreeFigures>) -> Trees {
    Trees {
        schema_version: SCHEMA_VERSION,
        refcow_version: env!("CARGO_PKG_VERSION").to_owned(),
        page_bytes: page_size(),
        trees,
        alone: None,
        closed: None,
        unseen_programs: Vec::new(),
    }
}

/// How often a tree whose members end is looked at anew.
const LOOKS: usize = 20;

/// Of a family now, with a map of its memory if that is wanted. Members that end meanwhile are left out; `None` when all have.
///
/// # Errors
/// When one may not be read.
pub fn now(mut family: Family, with_map: bool) -> Result<Option<TreeFigures>, observe::Error> {
    let mut looks = 0;
    loop {
        let tree = FamilyTree::of(family.clone());
        looks += 1;
        match look(&tree, with_map) {
            Ok(look) => {
                let python = python_of(family.oldest().pid).ok().flatten();
                let figures = figures(&tree, &look, python.as_ref());
                return Ok(Some(with_findings(figures)));
            }
            Err(observe::Error::Gone { pid }) if looks < LOOKS => match family.without(pid) {
                Some(left) => family = left,
                None => return Ok(None),
            },
            Err(error) => return Err(error),
        }
    }
}

/// The same with what workers have alike, for which their memory is read.
///
/// # Errors
/// As [`now`].
fn now_with_alike(family: Family) -> Result<Option<TreeFigures>, observe::Error> {
    let Some(tree) = now(family.clone(), true)? else {
        return Ok(None);
    };
    let (alike, alike_unseen) = match alike(&FamilyTree::of(family)) {
        Ok(alike) => (alike, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Ok(Some(TreeFigures {
        alike,
        alike_unseen,
        ..tree
    }))
}

/// What trees had while they lived, by their first process.
pub type Earlier = Vec<(usize, TreeFigures)>;

/// Looks at what lives of trees, so many seconds after the recording began. One that cannot be looked at is left out.
pub fn look_at(living: Vec<(usize, Family)>, seconds: f64) -> Earlier {
    let looks = living.into_iter().filter_map(|(root, family)| {
        let tree = now_with_alike(family).ok()??;
        let taken_at_seconds = Some(seconds);
        Some((
            root,
            TreeFigures {
                taken_at_seconds,
                ..tree
            },
        ))
    });
    looks.collect()
}

fn with_findings(tree: TreeFigures) -> TreeFigures {
    TreeFigures {
        findings: findings(&tree, page_size()),
        ..tree
    }
}

fn figures(tree: &FamilyTree, look: &Look, python: Option<&LivePython>) -> TreeFigures {
    let members = tree.members.iter().enumerate();
    let processes = members.map(|(place, member)| {
        let pages: &MemberPages = &look.members[place];
        ProcessFigures {
            pid: member.pid,
            parent_pid: member.parent,
            depth: tree.depth(place) as u64,
            command: crate::model::printable(&member.title()),
            anonymous_pages: pages.anonymous(),
            shared_pages: pages.shared,
            copied_pages: pages.copied,
            left_behind_pages: pages.left_behind,
            written_by_both_pages: pages.both,
            huge_pages: pages.huge,
            unknown_pages: pages.unknown,
            new_pages: pages.new,
            own_pages: pages.own,
            rewritten_pages: pages.rewritten,
            swapped_pages: pages.swapped,
            file_pages: pages.files,
            page_table_bytes: look.page_tables[place],
        }
    });
    let anonymous: u64 = look.members.iter().map(MemberPages::anonymous).sum();
    let bytes = |pages: u64| pages * page_size();
    TreeFigures {
        python: python.map(LivePython::title),
        objects_unseen: python.and_then(LivePython::objects_unseen),
        seen_by: Some(match (look.with_frames, look.with_marks) {
            (true, true) => SeenBy::FramesAndMarks,
            (true, false) => SeenBy::Frames,
            (false, _) => SeenBy::MappedOnce,
        }),
        processes: processes.collect(),
        recorded: None,
        map: look.map.clone(),
        alike: Vec::new(),
        alike_unseen: None,
        taken_at_seconds: None,
        findings: Vec::new(),
        total: Some(Total {
            anonymous_bytes: look.distinct.map(bytes),
            if_nothing_shared_bytes: bytes(anonymous),
            if_all_shared_bytes: bytes(look.if_shared),
            file_bytes: bytes(look.files),
            page_table_bytes: look.page_tables.iter().copied().sum(),
        }),
    }
}

/// All trees that were recorded, with a look at what lives of them, or else one that was taken earlier. Where Python ran in some, other
/// programs' trees are left out; else those that are one process, unless all are. Which of those that are left out nobody saw is told.
///
/// # Errors
/// When one may not be read.
pub fn recorded(watched: &Watched, mut earlier: Earlier) -> Result<Trees, observe::Error> {
    let mut unseen: BTreeMap<String, u64> = BTreeMap::new();
    let mut living = watched.living();
    let roots = (0..watched.recording.members.len()).filter(|place| watched.root(*place) == *place);
    let roots = roots.map(|root| (root, recorded_figures(watched, root)));
    let roots: Vec<_> = roots.collect();
    let mut trees = Vec::new();
    let any_python = watched.any_python();
    let any_fork = roots.iter().any(|(_, tree)| tree.processes.len() > 1);
    for (root, recorded) in roots {
        let place = living.iter().position(|(of, _)| *of == root);
        let family = place.map(|place| living.swap_remove(place).1);
        let python = watched.python(root);
        let is_wanted = match any_python {
            true => python.is_some(),
            false => recorded.processes.len() > 1 || !any_fork,
        };
        if recorded.processes.is_empty() || !is_wanted {
            let first = &watched.recording.members[root];
            if first.unseen && !is_wanted {
                let name = crate::model::printable(&first.member.name);
                *unseen.entry(name).or_default() += 1;
            }
            continue;
        }
        let place = earlier.iter().position(|(of, _)| *of == root);
        let earlier = place.map(|place| earlier.swap_remove(place).1);
        // Of workers whose parent has ended nothing tells any more what they shared with it.
        let has_ended = !watched.recording.members[root].lives;
        let seen = match (earlier, family) {
            (Some(earlier), _) if has_ended => Some(earlier),
            (earlier, Some(family)) => now_with_alike(family)?.or(earlier),
            (earlier, None) => earlier,
        };
        let tree = seen.unwrap_or(TreeFigures {
            python: None,
            objects_unseen: None,
            seen_by: None,
            processes: Vec::new(),
            total: None,
            recorded: None,
            map: None,
            alike: Vec::new(),
            alike_unseen: None,
            taken_at_seconds: None,
            findings: Vec::new(),
        });
        trees.push(with_findings(TreeFigures {
            python: python.map(LivePython::title),
            objects_unseen: python.and_then(LivePython::objects_unseen),
            recorded: Some(recorded),
            ..tree
        }));
    }
    let unseen = unseen.into_iter();
    Ok(Trees {
        unseen_programs: unseen
            .map(|(name, number)| UnseenProgram { name, number })
            .collect(),
        ..self::trees(trees)
    })
}

fn recorded_figures(watched: &Watched, root: usize) -> RecordedFigures {
    let members = || {
        let all = watched.recording.members.iter().enumerate();
        all.filter(|(place, _)| watched.root(*place) == root)
    };
    let depth = |place: usize| {
        let mut depth = 0;
        let mut one = place;
        while let Some(parent) = watched.recording.members[one].parent {
            depth += 1;
            one = parent;
        }
        depth
    };
    let unseen = watched.ends_unseen(root);
    let processes = members()
        .filter(|(_, one)| !one.executed)
        .map(|(place, one)| {
            let copied = one.number(Deed::Copied);
            let kept = watched.recording.kept(place);
            RecordedProcess {
                pid: one.member.pid,
                parent_pid: one.member.parent,
                depth: depth(place),
                command: crate::model::printable(&one.member.title()),
                ended: !one.lives,
                copied_pages: copied,
                given_back_pages: kept.map(|kept| copied.saturating_sub(kept)),
                new_pages: one.number(Deed::Made),
                rewritten_pages: one.number(Deed::Rewrote),
                unknown_pages: one.number(Deed::Unknown),
                shutdown_pages: one.has_worked.then_some(one.ending_pages),
                ended_unseen: one.unseen,
                last_look: one.last_look.map(|look| LastLook {
                    seconds: look.seconds,
                    anonymous_pages: look.anonymous,
                    shared_pages: look.shared,
                    swapped_pages: look.swapped,
                    peak_resident_bytes: look.peak_resident,
                }),
            }
        });
    let by_process = |series: &[InProcess]| {
        let of_tree = series.iter().filter(|one| watched.root(one.place) == root);
        let all = of_tree.map(|one| ProcessMoment {
            pid: watched.recording.members[one.place].member.pid,
            copied_pages: one.copied,
            new_pages: one.made,
        });
        all.collect()
    };
    let moments = watched
        .moments
        .iter()
        .map(|(moment, series)| MomentFigures {
            by_process: by_process(series),
            seconds: moment.seconds,
            processes: moment.processes,
            copied_pages: moment.pages[0],
            new_pages: moment.pages[1],
            rewritten_pages: moment.pages[2],
            memory_bytes: moment.memory_bytes,
        });
    RecordedFigures {
        seconds: watched.duration.as_secs_f64(),
        lost_faults: watched.lost,
        unread_pages: watched.unread.get(&root).copied().unwrap_or(0),
        with_kernel_writes: watched.with_kernel,
        shutdown_unseen: unseen.map(str::to_owned),
        processes: processes.collect(),
        executed: members().filter(|(_, one)| one.executed).count() as u64,
        moments: moments.collect(),
        causes: causes(watched, root),
        lines: lines(watched, root),
        made_by_all: made_by_all(watched, root),
        without_last_look: without_last_look(watched, root),
    }
}

/// Processes that ended without a last look, by why there was none.
fn without_last_look(watched: &Watched, root: usize) -> Option<Vec<Reason>> {
    let traced = watched.traced.as_ref().filter(|traced| traced.at_end)?;
    let members = watched.recording.members.iter().enumerate();
    let missed = members.filter(|(place, one)| {
        let has_ended = !one.lives && !one.executed;
        has_ended && !one.unseen && one.last_look.is_none() && watched.root(*place) == root
    });
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    let is_python = watched.python(root).is_some();
    for (_, one) in missed {
        *reasons
            .entry(why_missed(traced, one, is_python))
            .or_default() += 1;
    }
    let reasons = reasons.into_iter();
    Some(reasons.map(reason).collect())
}

fn why_missed<M>(traced: &Traced, one: &RecordedMember<M>, is_python: bool) -> &'static str {
    let pid = one.member.pid;
    let mut refused = traced.not_traced.iter();
    match refused.find(|(_, threads)| threads.contains(&pid)) {
        Some((why, _)) => why.as_str(),
        None if !is_python => "it is not CPython",
        None if traced.ended_early => "the process that traces ended early",
        None if !traced.processes.contains(&pid) => "it ended before refcow traced it",
        None if traced.late.contains(&pid) => "refcow was too slow",
        None if traced.left.contains(&pid) => "the recording was over",
        None => "it was killed",
    }
}

fn reason((reason, number): (&str, u64)) -> Reason {
    Reason {
        reason: reason.to_owned(),
        number,
    }
}

/// Pages of a tree, but for those of what went on to execute another program: these are in no figure, are few, and stand for nobody.
fn pages_of(watched: &Watched, root: usize) -> impl Iterator<Item = (&Key, u64)> {
    let all = watched.causes.iter().map(|(key, pages)| (key, *pages));
    all.filter(move |(key, pages)| {
        key.root == root && *pages > 0 && !watched.recording.members[key.by].executed
    })
}

fn lines(watched: &Watched, root: usize) -> Option<LinesFigures> {
    let (one_in, missing) = watched.lines.as_ref()?;
    let traced = watched.traced.as_ref().filter(|_| watched.with_stops);
    let Missing {
        frames,
        pauses,
        dropped,
    } = missing;
    let mut looked_at_pages = 0;
    let mut without: BTreeMap<&str, u64> = BTreeMap::new();
    for (key, pages) in pages_of(watched, root) {
        match &key.line {
            LineOf::NotLooked => continue,
            LineOf::Unknown(why) => *without.entry(why.as_str()).or_default() += pages,
            LineOf::Known(_) => {}
        }
        looked_at_pages += pages;
    }
    let members = watched.recording.members.iter().enumerate();
    let missed = members.filter(|(place, one)| {
        let is_missed = |traced: &Traced| !traced.processes.contains(&one.member.pid);
        watched.root(*place) == root && !one.executed && traced.is_some_and(is_missed)
    });
    let threads = traced.into_iter().flat_map(|traced| &traced.not_traced);
    let threads = threads.map(|(why, threads)| (why.as_str(), threads.len() as u64));
    Some(LinesFigures {
        one_in: *one_in,
        with_stops: watched.with_stops,
        looked_at_pages,
        without_line: without.into_iter().map(reason).collect(),
        not_traced_processes: missed.count() as u64,
        not_traced: threads.map(reason).collect(),
        no_frames: frames.get(&root).cloned(),
        pauses: *pauses,
        dropped: *dropped,
        ended_early: traced.is_some_and(|traced| traced.ended_early),
    })
}

fn causes(watched: &Watched, root: usize) -> Vec<CauseFigures> {
    let mut sums: BTreeMap<Key, u64> = BTreeMap::new();
    for (key, pages) in pages_of(watched, root) {
        // All processes together.
        let phase = match key.phase {
            InterpreterPhase::Unwatched if watched.recording.members[key.by].has_worked => {
                InterpreterPhase::Working
            }
            known => known,
        };
        let mut key = Key {
            by: root,
            phase,
            ..key.clone()
        };
        if let LineOf::Unknown(_) = key.line {
            key.line = LineOf::NotLooked;
        }
        *sums.entry(key).or_default() += pages;
    }
    let running = |line: &LineOf| match line {
        LineOf::Known(running) => {
            let own = running.own.as_deref().map(crate::model::printable);
            (Some(crate::model::printable(&running.line)), own)
        }
        _ => (None, None),
    };
    let mut all: Vec<CauseFigures> = sums
        .into_iter()
        .map(|(key, pages)| (running(&key.line), key, pages))
        .map(|((line, own_line), key, pages)| CauseFigures {
            pages_are: match key.deed {
                Deed::Copied => PagesAre::Copied,
                Deed::Made => PagesAre::New,
                Deed::Rewrote => PagesAre::Rewritten,
                Deed::Unknown => PagesAre::Unknown,
            },
            cause: key.cause,
            type_name: key.type_name.map(|name| crate::model::printable(&name)),
            function: crate::model::printable(&key.function),
            thread: match key.main_thread {
                true => ThreadIs::Main,
                false => ThreadIs::Other,
            },
            phase: match key.phase {
                InterpreterPhase::Unwatched => None,
                InterpreterPhase::Working => Some(Phase::Work),
                InterpreterPhase::Ending => Some(Phase::Shutdown),
            },
            line,
            own_line,
            pages,
        })
        .collect();
    // As many stand in the order of their names.
    all.sort_by_key(|one| Reverse(one.pages));
    all
}
