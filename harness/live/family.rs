//! Which processes are forks of one start of a program, wherever they have gone since.
//!
//! The kernel gives each program that it starts 16 random bytes (`AT_RANDOM`), and writes down where it put things (the auxiliary
//! vector). A fork has its parent's, an exec makes new ones: so they are equal in all forks of one start and in nothing else,
//! whatever became of parents, sessions and users.

mod error;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use nix::libc;
use procfs::ProcError;
use procfs::process::Process;

pub use error::{FamilyError, LARGEST};
use error::{closed, not_there};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    pub closed: Vec<Member>,
    /// What has no memory, and this process.
    pub others: Vec<Member>,
}

/// Why a process has no [`Start`].
enum Unseen {
    Gone,
    NoMemory(NoMemory),
    Closed,
}

/// What a process without memory is.
enum NoMemory {
    OfTheKernel,
    /// Nobody has waited for it.
    Ended,
    FirstThreadEnded,
    Ending,
}

impl NoMemory {
    fn in_words(&self, parent: i32) -> String {
        match self {
            Self::OfTheKernel => "it is a thread of the kernel's".to_owned(),
            Self::Ended => {
                format!("it has ended, and its parent, process {parent}, has not waited for it")
            }
            Self::FirstThreadEnded => {
                "its first thread has ended, through which the kernel shows it".to_owned()
            }
            Self::Ending => "it is ending".to_owned(),
        }
    }
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
        let no_memory = match stat.state {
            _ if stat.flags & OF_THE_KERNEL != 0 => Some(NoMemory::OfTheKernel),
            'Z' if stat.num_threads > 1 => Some(NoMemory::FirstThreadEnded),
            'Z' | 'X' => Some(NoMemory::Ended),
            _ => None,
        };
        if let Some(why) = no_memory {
            return Err(Unseen::NoMemory(why));
        }
        let mut placed = Vec::new();
        process
            .open_relative("auxv")?
            .read_to_end(&mut placed)
            .map_err(|error| Unseen::of(&error))?;
        if placed.is_empty() {
            return Err(Unseen::NoMemory(NoMemory::Ending));
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
    let (mut closed, mut others) = (Vec::new(), Vec::new());
    let all = procfs::process::all_processes().into_iter().flatten();
    for process in all.flatten() {
        let member = match Member::of(&process) {
            Ok(member) => member,
            // Where /proc is mounted with hidepid, that it is there is all that is known.
            Err(Unseen::Closed) => {
                closed.push(Member {
                    pid: process.pid,
                    ..Member::default()
                });
                continue;
            }
            Err(_) => continue,
        };
        match Start::of(&process) {
            _ if process.pid == own => others.push(member),
            Ok(start) if start.is_unique(randomised) => {
                by_start.entry(start).or_default().push(member);
            }
            Ok(_) => single.push(vec![member]),
            Err(Unseen::Closed) => closed.push(member),
            Err(Unseen::NoMemory(_)) => others.push(member),
            Err(Unseen::Gone) => {}
        }
    }
    let all = by_start.into_values().chain(single);
    let mut families: Vec<Family> = all.map(family).collect();
    families.sort_by_key(|family| (family.oldest().started, family.oldest().pid));
    Families {
        families,
        closed,
        others,
    }
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
    let none = |_| not_there(pid);
    // A thread's number stands for its process.
    let pid = Process::new(pid)
        .and_then(|process| process.status())
        .map_err(none)?
        .tgid;
    if pid == std::process::id().cast_signed() {
        return Err(FamilyError::Itself { pid });
    }
    let process = Process::new(pid).map_err(none)?;
    let member = Member::of(&process).map_err(|_| not_there(pid))?;
    let name = member.name;
    match Start::of(&process) {
        Ok(_) => {}
        Err(Unseen::Gone) => return Err(FamilyError::NoProcess { pid }),
        Err(Unseen::NoMemory(why)) => {
            let why = why.in_words(member.parent);
            return Err(FamilyError::NoMemory { pid, name, why });
        }
        Err(Unseen::Closed) => return Err(closed(&process, name)),
    }
    if has_memory_of(pid, member.parent) {
        let parent = member.parent;
        return Err(FamilyError::ParentsMemory { pid, name, parent });
    }
    let mut all = families().families.into_iter();
    all.find(|family| family.members.iter().any(|member| member.pid == pid))
        .ok_or(FamilyError::NoProcess { pid })
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
    fn what_has_no_memory_says_what_it_is() {
        let whys = [
            (NoMemory::OfTheKernel, "thread of the kernel's"),
            (NoMemory::Ended, "its parent, process 7, has not waited"),
            (NoMemory::FirstThreadEnded, "its first thread has ended"),
            (NoMemory::Ending, "it is ending"),
        ];
        for (why, said) in whys {
            assert!(why.in_words(7).contains(said), "{}", why.in_words(7));
        }
    }
}
