//! A small process between refcow and a subject. It ends all that the subject has started, wherever
//! that went, when refcow says so or is no more.
//!
//! Every process below it whose parent ends becomes a child of the keeper
//! (`PR_SET_CHILD_SUBREAPER`): one in a session of its own and without an environment, too. It
//! kills its children, and so those that they leave to it, until it has none. Nobody but the keeper
//! waits for its children, so that their numbers are nobody else's until then.
//!
//! It is refcow's own program under another name ([`NAME`]), and has one thread: whatever kills it
//! kills the subject (`PR_SET_PDEATHSIG`).

mod end;
mod kept;
mod life;
mod messages;
mod printed;
mod spawn;

pub use kept::{Kept, start};
pub use life::run;
pub use messages::{Handed, NAME, ProgramToStart};
