//! Whether a document says what its own measurements say, wherever that takes more than its
//! figures: refcow's rules, its statements and its words. What figures alone must agree in is
//! checked where a document is read (`model`).
//!
//! Words that refcow has for something never come from a document. In one of this very refcow they
//! must be what this refcow would write; another version may have put them otherwise, and then
//! those of this one take their place.

use crate::{DocumentError, Report, Run, advice, claims, ways};

/// Refuses a document that contradicts itself, and gives it refcow's words. `commit`: that which
/// this refcow is built from.
///
/// # Errors
/// With the place at which it does.
pub fn check(report: &mut Report, commit: Option<&str>) -> Result<(), DocumentError> {
    for (number, run) in report.runs.iter_mut().enumerate() {
        let mine = written_by_this(run, commit);
        let refused = |place: String, what: String| DocumentError::Inconsistent {
            place: format!("runs[{number}].{place}"),
            what,
        };
        all_ways(run, mine).map_err(|(place, what)| refused(place, what))?;
        own_data(run, mine).map_err(|(place, what)| refused(place, what))?;
        all_advice(run, mine).map_err(|(place, what)| refused(place, what))?;
    }
    claims::check(report)
}

/// Whether this very build of refcow wrote it. One that does not know its commit cannot tell.
fn written_by_this(run: &Run, commit: Option<&str>) -> bool {
    let environment = &run.environment;
    environment.refcow_version == env!("CARGO_PKG_VERSION")
        && commit.is_some()
        && environment.refcow_commit.as_deref() == commit
}

/// A place in a run, and what is wrong there.
type Wrong = (String, String);

fn all_ways(run: &mut Run, mine: bool) -> Result<(), Wrong> {
    for (index, alternative) in run.alternatives.iter_mut().enumerate() {
        let place = |field: &str| format!("alternatives[{index}].{field}");
        let mut known = ways::ways().iter();
        let Some(way) = known.find(|way| way.id == alternative.way) else {
            if mine {
                let what = format!("refcow has no way {}", alternative.way);
                return Err((place("way"), what));
            }
            continue;
        };
        if alternative.contents != way.contents {
            let what = format!("{} hands over something else", way.id);
            return Err((place("contents"), what));
        }
        if mine && alternative.title != way.title {
            let what = format!("refcow calls {} {:?}", way.id, way.title);
            return Err((place("title"), what));
        }
        alternative.title.clone_from(&way.title);
    }
    Ok(())
}

fn own_data(run: &mut Run, mine: bool) -> Result<(), Wrong> {
    for (index, data) in run.own_data.iter_mut().enumerate() {
        for (number, one) in data.ways.iter_mut().enumerate() {
            let place = |field: &str| format!("own_data[{index}].ways[{number}].{field}");
            let known = ways::data_ways().iter().find(|way| way.id == one.way);
            let Some(way) = known else {
                if mine {
                    let what = format!("refcow has no way {}", one.way);
                    return Err((place("way"), what));
                }
                continue;
            };
            if mine && one.title != way.title {
                let what = format!("refcow calls {} {:?}", way.id, way.title);
                return Err((place("title"), what));
            }
            if !way.start_methods.contains(&one.start_method) {
                let what = format!("{} does not exist under {}", way.id, one.start_method);
                return Err((place("start_method"), what));
            }
            one.title.clone_from(&way.title);
        }
    }
    Ok(())
}

fn all_advice(run: &mut Run, mine: bool) -> Result<(), Wrong> {
    let page = run.environment.page_size_bytes;
    for (index, one) in run.advice.iter_mut().enumerate() {
        let place = |field: &str| format!("advice[{index}].{field}");
        if mine {
            let noise = advice::noise_bytes(one.copied_bytes, page);
            if one.noise_bytes != noise {
                let what = format!("{}, but the noise of so much is {noise}", one.noise_bytes);
                return Err((place("noise_bytes"), what));
            }
            let mut ranked = one.remedies.clone();
            advice::rank(one, &mut ranked);
            if ranked != one.remedies {
                let what = "they are not ordered by what they save".to_owned();
                return Err((place("remedies"), what));
            }
        }
        let Some(as_it_is) = one.measurement(&run.measurements, None) else {
            continue;
        };
        // Why nothing helps followed from causes that were recorded for that sentence alone.
        let helpless = one.copied_bytes > one.noise_bytes && one.best().is_none();
        if one.tree.is_none() && helpless {
            continue;
        }
        let noise = || advice::tree_noise_of(one, advice::tree_noise_bytes(as_it_is, page));
        if mine && one.tree_noise_bytes.is_some_and(|told| told != noise()) {
            let what = "it is not the noise of what the children copied and made".to_owned();
            return Err((place("tree_noise_bytes"), what));
        }
        let follows = advice::finding(one, as_it_is, page);
        if mine && one.finding != follows {
            let what = format!("{follows:?} follows from the measurements");
            return Err((place("finding"), what));
        }
        one.finding = follows;
    }
    Ok(())
}
