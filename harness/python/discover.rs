//! All interpreters of this machine.

use std::collections::HashSet;
use std::fs;

use super::find::SearchPlaces;
use super::probing::{Found, Inquiry};
use super::program::is_shim;

/// Every interpreter of this machine, usable or not, those first that [`choose`](super::choose())
/// would prefer.
///
/// Programs are asked several at a time, each for half a minute at most. What another user keeps for
/// himself is not seen, and what another user could have put there is listed without being started,
/// unless it is on PATH or in `REFCOW_PYTHONS`.
pub fn discover() -> Vec<Found> {
    let candidates = SearchPlaces::of_this_machine().worth_asking();
    without_repetitions(Inquiry::new().ask_all(candidates))
}

/// Each interpreter once, without what need not be told.
pub(super) fn without_repetitions(found: Vec<Found>) -> Vec<Found> {
    let mut seen = HashSet::new();
    found
        .into_iter()
        .filter(|found| match &found.outcome {
            Ok(interpreter) => seen.insert((
                fs::canonicalize(&interpreter.executable)
                    .unwrap_or_else(|_| interpreter.executable.clone()),
                interpreter.prefix.clone(),
            )),
            // A version manager has a shim for each name that any of its versions has, and the
            // shims of the versions not active now fail. The interpreters behind them are in the
            // list by themselves.
            Err(_) => !is_shim(&found.path),
        })
        .collect()
}
