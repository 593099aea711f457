//! Which Python the processes of a tree run, and when their interpreters end.

use super::{Watch, members_of, now, root};
use crate::live::ending::{self, Ending, ending};
use crate::live::python::{LivePython, python_of};
use crate::observe::frames::Interpreter;

/// So many ticks long a new program is asked in each of them which Python it runs.
const OFTEN: u32 = 40;

/// The first process of a tree, what that runs if it is known, in which tick, and so many later, it is asked for again, and since when.
pub(super) type PythonAsked = (usize, Option<LivePython>, u32, u32, u32);

/// How the ends of the interpreters of a tree are seen.
#[derive(Debug)]
pub(super) struct Endings {
    pub(super) root: usize,
    /// Once it is known.
    pub(super) of: Option<Interpreter>,
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
        self.keep_interpreters();
        if let Some(stacks) = &mut self.stacks {
            for (root, python, ..) in &self.pythons {
                let Some(python) = python.as_ref().filter(|_| !stacks.knows(*root)) else {
                    continue;
                };
                let members = members_of(&self.recording, *root);
                if let Some(pid) = members.first()
                    && let Some((of, way)) = stacks.way(*root, python, *pid)
                    && let Err(why) = self.recorder.look_at_frames(of, &way)
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

    /// Of many interpreters those are forgotten whose processes have all ended: there is room for so many at a time.
    fn keep_interpreters(&mut self) {
        const MANY: usize = 8;
        if self.recorder.interpreters() <= MANY {
            return;
        }
        let endings = self.endings.iter();
        let living = endings.filter(|one| !members_of(&self.recording, one.root).is_empty());
        let living: Vec<Interpreter> = living.filter_map(|one| one.of).collect();
        // If it is not taken, there is no room: it is told of where that is missing.
        let _ = self.recorder.keep_interpreters(&living);
    }

    /// Has it recorded when the interpreter of a process ends, for all members of each tree that runs Python.
    pub(super) fn watch_endings(&mut self) {
        for (root, python, ..) in &self.pythons {
            let Some(python) = python else { continue };
            let place = self.endings.iter().position(|one| one.root == *root);
            let place = place.unwrap_or_else(|| {
                self.endings.push(Endings {
                    root: *root,
                    of: None,
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
            let found = || python.minor.zip(python.runtime(first));
            let found = || found().map(|(minor, runtime)| Interpreter { minor, runtime });
            watched.of = watched.of.or_else(found);
            let Some(of) = watched.of else {
                continue;
            };
            watched.is = ending(first, python, of.runtime);
            let Ending::At(address) = watched.is else {
                continue;
            };
            for place in living {
                let member = &mut self.recording.members[place];
                let pid = member.member.pid;
                match self.recorder.watch_place(of, pid, address) {
                    Err(error) if error.raw_os_error() != Some(nix::libc::ESRCH) => {
                        watched.is = Ending::Unseen("the processor has no watchpoint free");
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
        let Some(Endings {
            of: Some(of),
            is: Ending::At(address),
            ..
        }) = watched
        else {
            return;
        };
        if member.watched_since.is_none() && self.recorder.watch_place(*of, pid, *address).is_ok() {
            member.watched_since = Some(now());
            member.watch_ending(ending::is_ending(pid, *address));
        }
    }
}
