//! What is measured and reported, and every rule about it: nothing here touches a process, a file,
//! the clock or the environment.
//!
//! `schema` is what stands in a document, in code, JSON and docs by the same words. The other
//! modules say what follows from that: they compare, judge, rank and merge. (minijinja is here for
//! the conditions of claims, which are data.)

// What is `pub` is what another crate uses, so that rustc sees what nobody does.
#![warn(unreachable_pub)]

pub mod advice;
pub mod claims;
pub mod compare;
pub mod consistency;
mod embedded;
pub mod failures;
pub mod merge;
pub mod mitigations;
pub mod numbers;
pub mod remedies;
pub mod reproduce;
mod schema;
pub mod shell;
pub mod suggest;
pub mod trees;
pub mod ways;
pub mod workers;

pub use schema::*;

/// refcow's own visit by which a child is not even given the data.
pub const IDLE: &str = "idle";

/// refcow's other own visit: the child ends Python, as at the end of a script.
pub const EXIT: &str = "exit";
