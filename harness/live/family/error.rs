//! Why there is no tree to look at.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid, User, geteuid};
use procfs::process::Process;

use crate::observe::{CAP_SYS_PTRACE, has_capability};

/// The largest number of a process: one less than `PID_MAX_LIMIT` of Linux `include/linux/threads.h`.
pub const LARGEST: i32 = 4_194_303;

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
    /// A number that no process can have.
    #[error("no process has the number {number}: they have numbers from 1 to {LARGEST}", LARGEST = LARGEST)]
    #[diagnostic(help("`refcow trees` lists the trees of Python processes on this machine"))]
    NoNumber {
        /// As the user gave it.
        number: String,
    },
    /// No number and no name.
    #[error("the number or name of a process is missing: {given:?} is empty")]
    #[diagnostic(help(
        "if it comes from a variable or another command, that gave nothing; `refcow trees` lists the trees of Python processes on this machine"
    ))]
    Empty {
        /// As the user gave it.
        given: String,
    },
    /// This process.
    #[error("process {pid} is this refcow itself")]
    #[diagnostic(help(
        "give the number of a process of the tree that you mean: `refcow trees` lists them"
    ))]
    Itself {
        /// Its number.
        pid: i32,
    },
    /// A thread of the kernel's, or what is left of a process.
    #[error("process {pid} ({name}) has no memory to look at: {why}")]
    #[diagnostic(help("`refcow trees` lists the trees of Python processes on this machine"))]
    NoMemory {
        /// The number.
        pid: i32,
        /// The kernel's name of it.
        name: String,
        /// What it is.
        why: String,
    },
    /// What vfork(2) made, or a clone(2) that shares memory.
    #[error(
        "process {pid} ({name}) has no memory of its own: it uses that of its parent, process {parent}"
    )]
    #[diagnostic(help("attach to that one: refcow attach {parent}"))]
    ParentsMemory {
        /// The number.
        pid: i32,
        /// The kernel's name of it.
        name: String,
        /// Its parent's number.
        parent: i32,
    },
    /// A name without a process.
    #[error("no process is called {name:?}")]
    #[diagnostic(help(
        "give the number of a process, or the name of its program, script or module as `ps` shows it"
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
    /// Somebody else's, of which nothing else can be read.
    #[error(
        "process {pid} belongs to another user, and /proc hides it from you (it is mounted with hidepid)"
    )]
    #[diagnostic(help("looking at it takes root (or CAP_SYS_PTRACE): sudo refcow attach {pid}"))]
    Hidden {
        /// The number.
        pid: i32,
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

/// Of a number of which /proc shows nothing.
pub(super) fn not_there(pid: i32) -> FamilyError {
    match kill(Pid::from_raw(pid), None) {
        Err(Errno::EPERM) => FamilyError::Hidden { pid },
        _ => FamilyError::NoProcess { pid },
    }
}

/// Who may look at it, and why this user may not.
pub(super) fn closed(process: &Process, name: String) -> FamilyError {
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
