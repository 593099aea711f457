//! Which processes are forks of one start of a program, wherever they have gone since.
//!
//! The kernel gives each program that it starts 16 random bytes (`AT_RANDOM`), and writes down where it put things (the auxiliary
//! vector). A fork has its parent's, an exec makes new ones: so they are equal in all forks of one start and in nothing else,
//! whatever became of parents, sessions and users.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use nix::libc;
use nix::unistd::{Uid, User, geteuid};
use procfs::ProcError;
use procfs::process::Process;

use crate::observe::{CAP_SYS_PTRACE, has_capability};

/// What all forks of one start of a program have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    device: u64,
    inode: u64,
    /// The auxiliary vector: where program, linker and stack were put, which the kernel chooses at random.
    placed: Vec<u8>,
    /// The random bytes, where the memory of the process may be read.
    random: Option<[u8; 16]>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// When it was started, in ticks since the machine was: with the number it is one process for ever.
    pub started: u64,
    /// The kernel's name of it.
    pub name: String,
    /// The words of its command line.
    pub command: Vec<String>,
}

/// Forks of one start, in the order in which they were started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// At least one.
    pub members: Vec<Member>,
}

/// What there is.
#[derive(Debug, Default)]
pub struct Families {
    /// In the order of their oldest member.
    pub families: Vec<Family>,
    /// Processes that this user may not look at.
    pub closed: u64,
}

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum FamilyError {
    /// A number without a process.
    #[error("there is no process {pid}")]
    #[diagnostic(help("`refcow trees` lists the trees of Python processes on this machine"))]
    NoProcess {
        /// The number.
        pid: i32,
    },
    /// The kernel's own.
    #[error("process {pid} ({name}) has no program: it is a thread of the kernel's, or has ended")]
    #[diagnostic(help("`refcow trees` lists the trees of Python processes on this machine"))]
    NoProgram {
        /// The number.
        pid: i32,
        /// The kernel's name of it.
        name: String,
    },
    /// A name without a process.
    #[error("no process is called {name:?}")]
    #[diagnostic(help(
        "give the number of a process, or the name of its program, script or module as `ps` shows it; processes that you may not look at \
         have no name here"
    ))]
    NoName {
        /// As the user gave it.
        name: String,
    },
    /// A name of several.
    #[error("{name:?} is the name of several trees: {}", .trees.join("; "))]
    #[diagnostic(help("give the number of a process of the one that you mean"))]
    Ambiguous {
        /// As the user gave it.
        name: String,
        /// The oldest member of each, in words.
        trees: Vec<String>,
    },
    /// Somebody else's.
    #[error("process {pid} ({name}) belongs to {owner}, and you are {user}")]
    #[diagnostic(help("{remedy}"))]
    OtherUser {
        /// The number.
        pid: i32,
        /// The kernel's name of it.
        name: String,
        /// Its user.
        owner: String,
        /// This process's.
        user: String,
        /// What lets this user look.
        remedy: String,
    },
    /// The user's own, and protected.
    #[error(
        "process {pid} ({name}) belongs to you, {user}, but the kernel does not let you look at it"
    )]
    #[diagnostic(help("{remedy}"))]
    Protected {
        /// The number.
        pid: i32,
        /// The kernel's name of it.
        name: String,
        /// This process's user.
        user: String,
        /// What lets this user look.
        remedy: String,
    },
}

/// Why a process has no [`Start`].
enum Unseen {
    Gone,
    /// A thread of the kernel's, or one that has ended and nobody has waited for.
    NoProgram,
    Closed,
}

impl Unseen {
    fn of(error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Self::Closed,
            _ => Self::Gone,
        }
    }
}

impl From<ProcError> for Unseen {
    fn from(error: ProcError) -> Self {
        match error {
            ProcError::PermissionDenied(_) => Self::Closed,
            ProcError::Io(error, _) => Self::of(&error),
            _ => Self::Gone,
        }
    }
}

/// `PF_KTHREAD` of Linux `include/linux/sched.h`.
const OF_THE_KERNEL: u32 = 0x0020_0000;

impl Start {
    fn of(process: &Process) -> Result<Self, Unseen> {
        const RANDOM: u64 = 25;
        let stat = process.stat()?;
        if stat.flags & OF_THE_KERNEL != 0 || matches!(stat.state, 'Z' | 'X') {
            return Err(Unseen::NoProgram);
        }
        let mut placed = Vec::new();
        process
            .open_relative("auxv")?
            .read_to_end(&mut placed)
            .map_err(|error| Unseen::of(&error))?;
        if placed.is_empty() {
            return Err(Unseen::NoProgram);
        }
        let program = format!("/proc/{}/exe", process.pid);
        let program = std::fs::metadata(program).map_err(|error| Unseen::of(&error))?;
        let (words, _) = placed.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_ne_bytes(*word));
        let mut address = None;
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            if key == RANDOM {
                address = Some(value);
            }
        }
        let random = address.and_then(|address| {
            let mut bytes = [0; 16];
            let memory = process.mem().ok()?;
            memory.read_exact_at(&mut bytes, address).ok()?;
            Some(bytes)
        });
        Ok(Self {
            device: program.dev(),
            inode: program.ino(),
            placed,
            random,
        })
    }

    /// Whether this start has what no other has. Without the random bytes these are the places, which a kernel that does not randomise
    /// addresses gives to each start alike.
    fn is_unique(&self, randomised: bool) -> bool {
        self.random.is_some() || randomised
    }
}

/// Whether programs are put at random places (Documentation/admin-guide/sysctl/kernel.rst).
fn is_randomised() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/kernel/randomize_va_space");
    setting.is_ok_and(|setting| setting.trim() != "0")
}

impl Member {
    fn of(process: &Process) -> Result<Self, Unseen> {
        let stat = process.stat()?;
        let command = process.cmdline().unwrap_or_default();
        Ok(Self {
            pid: stat.pid,
            parent: stat.ppid,
            started: stat.starttime,
            name: stat.comm,
            command,
        })
    }

    /// Of a process that is there.
    pub fn read(pid: i32) -> Option<Self> {
        Self::of(&Process::new(pid).ok()?).ok()
    }

    /// As lists show it: the command line without the folders of its first words.
    pub fn title(&self) -> String {
        if self.command.iter().all(String::is_empty) {
            return format!("[{}]", self.name);
        }
        let shortened = self.command.iter().enumerate().map(|(place, word)| {
            let is_path = place < 2 && word.starts_with('/');
            match word.rsplit('/').next() {
                Some(file) if is_path && !file.is_empty() => file.to_owned(),
                _ => word.clone(),
            }
        });
        let words: Vec<String> = shortened.collect();
        words.join(" ").trim().to_owned()
    }
}

impl Family {
    /// The oldest member: the parent of all others, or what is left of that.
    pub fn oldest(&self) -> &Member {
        &self.members[0]
    }

    /// Drops one that has ended.
    pub fn without(mut self, pid: i32) -> Option<Self> {
        self.members.retain(|member| member.pid != pid);
        (!self.members.is_empty()).then_some(self)
    }
}

/// The families on this machine, as far as this user may look at them. What has its parent's very memory (vfork(2)) is no member.
pub fn families() -> Families {
    let own = std::process::id().cast_signed();
    let randomised = is_randomised();
    let mut by_start: BTreeMap<Start, Vec<Member>> = BTreeMap::new();
    let mut single = Vec::new();
    let mut closed = 0;
    let all = procfs::process::all_processes().into_iter().flatten();
    for process in all.flatten().filter(|process| process.pid != own) {
        let seen = Start::of(&process).and_then(|start| Ok((start, Member::of(&process)?)));
        match seen {
            Ok((start, member)) if start.is_unique(randomised) => {
                by_start.entry(start).or_default().push(member);
            }
            Ok((_, member)) => single.push(vec![member]),
            Err(Unseen::Closed) => closed += 1,
            Err(Unseen::Gone | Unseen::NoProgram) => {}
        }
    }
    let all = by_start.into_values().chain(single);
    let mut families: Vec<Family> = all.map(family).collect();
    families.sort_by_key(|family| (family.oldest().started, family.oldest().pid));
    Families { families, closed }
}

fn family(mut members: Vec<Member>) -> Family {
    members.sort_by_key(|member| (member.started, member.pid));
    let pids: Vec<i32> = members.iter().map(|member| member.pid).collect();
    members.retain(|member| {
        !(pids.contains(&member.parent) && has_memory_of(member.pid, member.parent))
    });
    Family { members }
}

/// Whether two processes have one memory. Where the kernel does not say (no `kcmp(2)`), they have not.
fn has_memory_of(pid: i32, other: i32) -> bool {
    const KCMP_VM: libc::c_long = 1;
    #[expect(unsafe_code, reason = "nix has no kcmp")]
    // SAFETY: numbers alone; nothing of this process's memory is read or written.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, pid, other, KCMP_VM, 0_u64, 0_u64) };
    order == 0
}

/// The family of a process.
///
/// # Errors
/// When there is none, or this user may not look at it.
pub fn of_process(pid: i32) -> Result<Family, FamilyError> {
    let none = |_| FamilyError::NoProcess { pid };
    // A thread's number stands for its process.
    let pid = Process::new(pid)
        .and_then(|process| process.status())
        .map_err(none)?
        .tgid;
    let process = Process::new(pid).map_err(none)?;
    let stat = process.stat().map_err(none)?;
    match Start::of(&process) {
        Ok(_) => {}
        Err(Unseen::Gone) => return Err(FamilyError::NoProcess { pid }),
        Err(Unseen::NoProgram) => {
            return Err(FamilyError::NoProgram {
                pid,
                name: stat.comm,
            });
        }
        Err(Unseen::Closed) => return Err(closed(&process, stat.comm)),
    }
    let all = families().families.into_iter();
    all.into_iter()
        .find(|family| family.members.iter().any(|member| member.pid == pid))
        .ok_or(FamilyError::NoProcess { pid })
}

/// Who may look at it, and why this user may not.
fn closed(process: &Process, name: String) -> FamilyError {
    let pid = process.pid;
    let Ok(owner) = process.status().map(|status| status.ruid) else {
        return FamilyError::NoProcess { pid };
    };
    let (own, may_all) = (geteuid(), has_capability(CAP_SYS_PTRACE) == Some(true));
    refused(pid, name, Uid::from_raw(owner), own, may_all)
}

/// `may_all`: whether this process has CAP_SYS_PTRACE.
fn refused(pid: i32, name: String, owner: Uid, own: Uid, may_all: bool) -> FamilyError {
    let is_others = owner != own;
    let remedy = match (may_all, own.is_root()) {
        (true, _) => {
            "you have CAP_SYS_PTRACE, and something else forbids it: the process belongs to a container around this one, or a security \
             module (SELinux, AppArmor) protects it"
        }
        (false, true) => {
            "that takes CAP_SYS_PTRACE, which root lacks here: start the container with --cap-add SYS_PTRACE"
        }
        (false, false) if is_others => {
            "looking at another user's process takes root (or CAP_SYS_PTRACE): sudo refcow attach PID"
        }
        (false, false) => {
            "it has changed its user, or its program has capabilities or may not be read: that takes root (or CAP_SYS_PTRACE): sudo \
             refcow attach PID"
        }
    };
    let remedy = remedy.replace("PID", &pid.to_string());
    let user = user_in_words(own);
    match is_others {
        true => FamilyError::OtherUser {
            pid,
            name,
            owner: user_in_words(owner),
            user,
            remedy,
        },
        false => FamilyError::Protected {
            pid,
            name,
            user,
            remedy,
        },
    }
}

fn user_in_words(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("user {} ({uid})", user.name),
        _ => format!("user {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(words: &[&str]) -> Member {
        Member {
            pid: 7,
            parent: 1,
            started: 1,
            name: "gunicorn".into(),
            command: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn a_title_is_the_command_line_without_the_folders_of_its_first_words() {
        let script = member(&["/usr/bin/python3", "/srv/bin/load.py", "--fast"]);
        assert_eq!(script.title(), "python3 load.py --fast");
        assert_eq!(
            member(&["gunicorn: master [app:app]"]).title(),
            "gunicorn: master [app:app]"
        );
        assert_eq!(member(&[]).title(), "[gunicorn]");
    }

    #[test]
    fn without_random_bytes_places_tell_only_where_they_are_random() {
        let start = |random| Start {
            device: 1,
            inode: 2,
            placed: vec![3],
            random,
        };
        assert!(start(Some([0; 16])).is_unique(false));
        assert!(start(None).is_unique(true));
        assert!(!start(None).is_unique(false));
    }

    #[test]
    fn a_number_without_a_process_and_a_thread_of_the_kernels_are_errors() {
        // More than a process may have (PID_MAX_LIMIT in linux/threads.h).
        let none = of_process(4_194_305).unwrap_err();
        assert_eq!(none.to_string(), "there is no process 4194305");
    }

    #[test]
    fn who_may_not_look_is_told_what_it_takes_for_this_user() {
        let (root, other) = (Uid::from_raw(0), Uid::from_raw(65_534));
        let said = |owner, own, may_all| {
            let error = refused(7, "app".to_owned(), owner, own, may_all);
            let help = miette::Diagnostic::help(&error)
                .expect("a help")
                .to_string();
            (error.to_string(), help)
        };
        let (error, help) = said(root, other, false);
        assert!(
            error.contains("belongs to user root (0), and you are"),
            "{error}"
        );
        assert!(help.ends_with("sudo refcow attach 7"), "{help}");
        let (error, help) = said(other, other, false);
        assert!(
            error.contains("belongs to you, user") && help.contains("takes root"),
            "{error} {help}"
        );
        // Who is root already is not told to become root.
        for owner in [root, other] {
            let (error, help) = said(owner, root, false);
            assert!(help.contains("--cap-add SYS_PTRACE"), "{error} {help}");
            assert!(
                !help.contains("sudo") && !help.contains("takes root"),
                "{help}"
            );
            let (_, help) = said(owner, root, true);
            assert!(
                help.starts_with("you have CAP_SYS_PTRACE, and something else"),
                "{help}"
            );
        }
    }
}
