//! What a run could leave behind besides processes: shared memory and temporary folders, all by its
//! [name](UniqueRunName).

use std::path::Path;
use std::sync::Once;

use crate::run_name::{UniqueRunName, remove};
use crate::{shm, temporary};

/// Removes what dead runs of this user have left, once in a process.
pub fn sweep() {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| {
        temporary::places().for_each(|place| temporary::sweep(&place));
        shm::sweep();
    });
}

/// Removes everything by this name, the lock last: as long as there is something, the next run
/// finds it by that.
pub fn remove_all(name: &UniqueRunName) {
    for place in [std::env::temp_dir().as_path(), Path::new(shm::FOLDER)] {
        for path in name.bearers(place) {
            remove(&path);
        }
    }
}
