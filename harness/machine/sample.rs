//! A process like those that are measured, to try on it what is done to them.
//!
//! This process is another matter: with capabilities of its file (setcap) its files in /proc are
//! root's, and it may not read its own pagemap, while it may read that of what it starts.

use std::process::{Child, Command, Stdio};

use crate::observe::{self, PageSet, mappings, page_states, read_page};

/// It waits until this is dropped. Where there is no shell, this process itself.
pub(super) struct Sample(Option<Child>);

impl Sample {
    pub(super) fn start() -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "read line"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().ok())
    }

    fn pid(&self) -> i32 {
        let pid = self.0.as_ref().map_or_else(std::process::id, Child::id);
        pid.cast_signed()
    }

    /// Whether the kernel shows page frame numbers. It gives 0 to whoever lacks CAP_SYS_ADMIN
    /// (Documentation/admin-guide/mm/pagemap.rst).
    pub(super) fn shows_frames(&self) -> Result<bool, observe::Error> {
        let states = page_states(self.pid(), &mappings(self.pid())?.ranges)?;
        Ok(states.has_frames())
    }

    /// Reads a page of its memory.
    pub(super) fn read_memory(&self) -> Result<(), observe::Error> {
        let mappings = mappings(self.pid())?;
        let states = page_states(self.pid(), &mappings.ranges)?;
        let there: PageSet = states.anonymous() & &mappings.writable;
        if let Some(page) = there.min() {
            read_page(self.pid(), page)?;
        }
        Ok(())
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            // The end of what it reads ends it.
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}
