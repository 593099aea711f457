//! Starts a `refcow-subject`, speaks the protocol with it and its children, and leaves no process
//! behind.
//!
//! Dropping a [`Subject`] has its keeper end everything that it has started, and waits for that.

mod channel;
mod error;
mod fork;
mod launch;
mod requests;
mod subject;

pub use error::DriverError;
pub(crate) use error::out_of_turn;
pub use fork::Forked;
pub use launch::{Launch, Surroundings};
pub use requests::Comparison;
pub use subject::Subject;
