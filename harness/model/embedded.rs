//! Data that is compiled into the program.

use serde::de::DeserializeOwned;

/// What such a file says.
///
/// # Panics
/// When it is not what is meant, which tests exclude: they read all of them.
pub(crate) fn embedded<T: DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).expect("it is part of the program")
}
