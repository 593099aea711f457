//! Ways to share data with child processes, as data.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::Contents;

/// All that tells one way from another.
pub const TEXT: &str = include_str!("ways.toml");

/// What refcow calls a way to share, and what the parent has there.
#[derive(Debug, Deserialize)]
pub struct Way {
    /// Its name.
    pub id: String,
    /// In words.
    pub title: String,
    /// What it hands over.
    pub contents: Contents,
}

#[derive(Deserialize)]
struct Ways {
    way: Vec<Way>,
}

/// All of them, in the order of the table.
///
/// # Panics
/// When the data that is part of the program is none, which a test excludes.
pub fn ways() -> &'static [Way] {
    static ALL: LazyLock<Vec<Way>> = LazyLock::new(|| {
        let ways: Ways = toml::from_str(TEXT).expect("a test reads the ways");
        ways.way
    });
    &ALL
}
