//! Transparent huge pages of the measured processes: off, or as the user's own program would have
//! them.
//!
//! A huge page that the kernel makes of pages that are there already takes them from whoever shared
//! them: those of the parent and of the witness must stay where they are while children run, or bit
//! 56 of pagemap would say of a child's page that it is the child's alone. So the kernel makes none
//! there from the first fork on, and in a child only while it makes its visit.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::prctl;

/// Whether the program would have them turned off by whoever started refcow: it is inherited.
static OFF_ANYWAY: AtomicBool = AtomicBool::new(false);
static KEPT: AtomicBool = AtomicBool::new(false);

/// Turns them off. They would be unshared 512 base pages at a time. Inherited by the children.
pub(crate) fn turn_off() -> nix::Result<()> {
    OFF_ANYWAY.store(prctl::get_thp_disable()?, Ordering::Relaxed);
    prctl::set_thp_disable(true)
}

/// Lets this process have what it would have without refcow.
pub(crate) fn keep() -> nix::Result<()> {
    KEPT.store(true, Ordering::Relaxed);
    prctl::set_thp_disable(OFF_ANYWAY.load(Ordering::Relaxed))
}

/// Whether they are as the user's own program would have them.
pub(crate) fn are_kept() -> bool {
    KEPT.load(Ordering::Relaxed)
}

/// Has the kernel make no more of them. Those that there are stay.
pub(crate) fn make_no_more() -> nix::Result<()> {
    prctl::set_thp_disable(true)
}

/// Lets the kernel make huge pages while this runs, if they are kept.
pub(crate) fn during<T>(visit: impl FnOnce() -> T) -> nix::Result<T> {
    if !are_kept() {
        return Ok(visit());
    }
    prctl::set_thp_disable(OFF_ANYWAY.load(Ordering::Relaxed))?;
    let outcome = visit();
    make_no_more()?;
    Ok(outcome)
}
