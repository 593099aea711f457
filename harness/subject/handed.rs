//! The descriptors that the observer hands over, as files that stay open to the end.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use nix::cmsg_space;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use refcow_observe::inherited::lower_open_files;
use refcow_protocol::{CLOSED_DESCRIPTORS, FIRST_DESCRIPTOR, MOST_CHILDREN};

static HANDED: OnceLock<HandedOver> = OnceLock::new();

struct HandedOver {
    control: KeptFile,
    map: KeptFile,
    channels: Vec<KeptFile>,
}

/// A descriptor, and which file it was when it came. A fixture may close what it does not know, and
/// the next file that it opens gets the number.
pub(crate) struct KeptFile {
    file: File,
    is: (u64, u64),
}

impl KeptFile {
    pub(crate) fn new(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        let is = identity(&file)?;
        Ok(Self { file, is })
    }

    /// The file, if it is still the one.
    pub(crate) fn file(&self) -> io::Result<&File> {
        match identity(&self.file) {
            Ok(is) if is == self.is => Ok(&self.file),
            _ => Err(io::Error::other(Closed)),
        }
    }
}

/// Why a descriptor is not what it was.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fixture has closed descriptors that it did not open")
    }
}

impl std::error::Error for Closed {}

/// The status with which a process ends that goes on no further for this reason, if it says who
/// closed what it needs.
pub(crate) fn status(error: &io::Error) -> Option<u8> {
    let reason = error.get_ref()?;
    reason.is::<Closed>().then_some(CLOSED_DESCRIPTORS)
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

/// Takes everything over from standard input, which is /dev/null from then on; the control socket.
pub(crate) fn receive() -> io::Result<&'static KeptFile> {
    // Of the user's limit nothing is left to the user's code if these are within it. What is open
    // stays open when it is lower again.
    let users = raised()?;
    let control = above(io::stdin().as_fd().try_clone_to_owned()?)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;

    let mut byte = [0];
    let mut place = [IoSliceMut::new(&mut byte)];
    let mut room = cmsg_space!([RawFd; MOST_CHILDREN + 2]);
    let message = recvmsg::<()>(
        control.as_raw_fd(),
        &mut place,
        Some(&mut room),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let mut files = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            for number in numbers {
                files.push(KeptFile::new(above(received(number))?)?);
            }
        }
    }
    // More than there was room for (`MSG_CTRUNC`), or than this process may have open, is not
    // there.
    if files.is_empty() || message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::other("not all descriptors came over"));
    }
    lower_open_files(users)?;
    let map = files.remove(0);
    let handed = HandedOver {
        control: KeptFile::new(control)?,
        map,
        channels: files,
    };
    Ok(&HANDED.get_or_init(|| handed).control)
}

/// Raises the soft limit of open files to the hard one; what it was, if that was less.
fn raised() -> io::Result<Option<u64>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Ok(raised.then_some(soft))
}

/// What `recvmsg` has just opened in this process.
fn received(number: RawFd) -> OwnedFd {
    use std::os::fd::FromRawFd;
    #[expect(unsafe_code, reason = "nix gives descriptors as bare numbers")]
    // SAFETY: the kernel has made this descriptor for this process in the call that gave its
    // number, and nothing else has seen the number.
    unsafe {
        OwnedFd::from_raw_fd(number)
    }
}

/// The same file under a number that a fixture is not likely to have in mind. Where the limit of
/// open files allows none, as it is.
pub(crate) fn above(file: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(&file, FIRST_DESCRIPTOR).or_else(|errno| match errno {
        rustix::io::Errno::INVAL | rustix::io::Errno::MFILE => Ok(file),
        errno => Err(errno.into()),
    })
}

fn handed() -> &'static HandedOver {
    HANDED.get().expect("`receive` comes first")
}

/// The file of the object map.
pub(crate) fn map() -> io::Result<&'static File> {
    handed().map.file()
}

/// A child's socket.
pub(crate) fn channel(index: usize) -> &'static KeptFile {
    &handed().channels[index]
}
