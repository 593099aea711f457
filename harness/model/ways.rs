//! The ways to share data with child processes: data of `ways.toml`, which holds all that tells one
//! from another.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::embedded::embedded;
use crate::{Contents, StartMethod};

/// A way to share data with child processes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Its name.
    pub id: String,
    /// In words.
    pub title: String,
    /// What it hands over.
    pub contents: Contents,
    /// What the parent has before it hands anything over.
    pub source: String,
    /// How it hands it over.
    pub transport: String,
    /// How a child reads all of it.
    pub read: String,
    /// The start methods under which it exists.
    pub start_methods: Vec<StartMethod>,
    /// Those under which it is measured if nobody names one; none for the first.
    #[serde(default)]
    pub by_default: Vec<StartMethod>,
    /// What its processes import besides the standard library.
    #[serde(default)]
    pub modules: Vec<String>,
    /// What it takes.
    pub memory: WayMemory,
}

/// Bytes at most for each byte handed over.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WayMemory {
    /// In the parent or its helper.
    pub parent: f64,
    /// In each child.
    #[serde(default)]
    pub child: f64,
    /// In shared memory.
    #[serde(default)]
    pub shared: f64,
    /// Whether that is in /dev/shm.
    #[serde(default)]
    pub in_shm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ways {
    way: Vec<Way>,
}

/// All of them, in the order of the table.
pub fn ways() -> &'static [Way] {
    static ALL: LazyLock<Ways> = LazyLock::new(|| embedded(include_str!("ways.toml")));
    &ALL.way
}
