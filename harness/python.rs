//! Finds the CPython interpreters of this machine, and gives one the packages that fixtures import.
//!
//! Nothing here loads Python: programs are run and asked. Every one of them has a time limit, ends
//! when refcow is interrupted, and does not outlive it.

mod cache;
mod child;
mod choose;
mod discover;
mod environment;
mod error;
mod find;
mod imports;
mod install;
mod older;
mod pins;
mod place;
mod preloadable;
mod probe;
mod probing;
mod program;
mod pyenv;
mod trust;

pub use choose::{Chosen, choose, choose_all, choose_all_builds};
pub use discover::discover;
pub use environment::{ReadyInterpreter, prepare, prepare_all};
pub use error::PythonError;
pub use imports::{Installed, Packages, packages};
pub use older::{Older, ask, older};
pub use preloadable::NotPreloadable;
pub(crate) use probe::LIBRARY_PATH;
pub use probe::{Interpreter, Unusable};
pub use probing::Found;
pub use trust::Distrust;
