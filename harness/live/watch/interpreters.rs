//! Which Python the processes of a tree run, and when their interpreters end.

use super::{Watch, members_of, now, root};
use crate::live::ending::{self, Ending, ending};
use crate::live::python::{LivePython, python_of};

/// So many ticks long a new program is asked in each of them which Python it runs.
const OFTEN: u32 = 40;

/// The first process of a tree, what that runs if it is known, in which tick, and so many later, it is asked for again, and since when.
pub(super) type PythonAsked = (usize, Option<LivePython>, u32, u32, u32);

/// How the ends of the interpreters of a tree are seen.
#[derive(Debug)]
pub(super) struct Endings {
    pub(super) root: usize,
    /// Where `_PyRuntime` is.
    runtime: Option<u64>,
    pub(super) is: Ending,
}

impl Watch {
    /// Of what the first process of each tree runs, as long as it is not known: a program maps its interpreter some time after it was started.
    pub(super) fn ask_for_pythons(&mut self) {
        for place in 0..self.recording.members.len() {
            let is_known = self.pythons.iter().any(|(root, ..)| *root == place);
            if root(&self.recording, place) == place && !is_known {
                self.pythons.push((place, None, self.ticks, 1, self.ticks));
            }
        }
        for (place, python, due, pause, first) in &mut self.pythons {
            let member = &self.recording.members[*place];
            if python.is_none() && member.lives && *due <= self.ticks {
                *python = python_of(member.member.pid).ok().flatten();
                if python.is_some() {
                    self.causes.know_code_of(member.member.pid);
                }
                *due = self.ticks + *pause;
                // Often at first: a program may be over soon.
                *pause = if self.ticks < *first + OFTEN {
                    1
                } else {
                    pause.saturating_mul(2)
                };
            }
        }
        if let Some(stacks) = &mut self.stacks {
            for (root, python, ..) in &self.pythons {
                let members = members_of(&self.recording, *root);
                if let (Some(python), Some(pid)) = (python, members.first())
                    && let Some(way) = stacks.way(*root, python, *pid)
                    && let Err(why) = self.recorder.look_at_frames(*root, &way)
                {
                    stacks.missing.insert(*root, why.to_string());
                }
            }
        }
        if let Some(tracing) = &mut self.tracing {
            for (place, python, ..) in &self.pythons {
                if let Some(python) = python
                    && !tracing.traces(*place)
                {
                    tracing.trace(*place, python, &members_of(&self.recording, *place));
                }
            }
        }
    }

    /// Has it recorded when the interpreter of a process ends, for all members of each tree that runs Python.
    pub(super) fn watch_endings(&mut self) {
        for (root, python, ..) in &self.pythons {
            let Some(python) = python else { continue };
            let place = self.endings.iter().position(|one| one.root == *root);
            let place = place.unwrap_or_else(|| {
                self.endings.push(Endings {
                    root: *root,
                    runtime: None,
                    is: Ending::NotReady,
                });
                self.endings.len() - 1
            });
            let watched = &mut self.endings[place];
            if watched.is != Ending::NotReady {
                continue;
            }
            let members = 0..self.recording.members.len();
            let living = members.filter(|place| {
                self.recording.members[*place].lives
                    && super::root(&self.recording, *place) == *root
            });
            let living: Vec<usize> = living.collect();
            let Some(first) = living.first() else {
                continue;
            };
            let first = self.recording.members[*first].member.pid;
            watched.runtime = watched.runtime.or_else(|| python.runtime(first));
            let Some(runtime) = watched.runtime else {
                continue;
            };
            watched.is = ending(first, python, runtime);
            let Ending::At(address) = watched.is else {
                continue;
            };
            for place in living {
                let member = &mut self.recording.members[place];
                let pid = member.member.pid;
                match self.recorder.watch_place(*root, pid, address) {
                    Err(error) if error.raw_os_error() != Some(nix::libc::ESRCH) => {
                        watched.is = Ending::Unseen(match self.recorder.without_program() {
                            Some(_) => "the processor has no watchpoint free",
                            None => "refcow looks into 16 trees at most",
                        });
                        break;
                    }
                    _ => {
                        member.watched_since = Some(now());
                        member.watch_ending(ending::is_ending(pid, address));
                    }
                }
            }
        }
    }

    /// The same of a process that was forked before its parent was watched.
    pub(super) fn watch_ending_of(&mut self, pid: i32) {
        let Some(place) = self.recording.place_of(pid) else {
            return;
        };
        let root = root(&self.recording, place);
        let watched = self.endings.iter().find(|one| one.root == root);
        let member = &mut self.recording.members[place];
        if let (Some(Ending::At(address)), None) =
            (watched.map(|one| &one.is), member.watched_since)
            && self.recorder.watch_place(root, pid, *address).is_ok()
        {
            member.watched_since = Some(now());
            member.watch_ending(ending::is_ending(pid, *address));
        }
    }
}
