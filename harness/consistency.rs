//! Whether a document says what its own measurements say, wherever that takes more than its figures: refcow's rules, its
//! statements and its words. What figures alone must agree in is checked where a document is read (`model`).
//!
//! Words that refcow has for something never come from a document. In one of this very refcow they must be what this refcow
//! would write; another version may have put them otherwise, and then those of this one take their place.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::{Contents, DocumentError, Report, Run};
use crate::{advice, claims};

/// What refcow calls a way to share, and what the parent has there.
#[derive(Deserialize)]
struct Way {
    id: String,
    title: String,
    contents: Contents,
}

#[derive(Deserialize)]
struct Ways {
    way: Vec<Way>,
}

/// Refuses a document that contradicts itself, and gives it refcow's words.
///
/// # Errors
/// With the place at which it does.
pub fn check(report: &mut Report) -> Result<(), DocumentError> {
    for (number, run) in report.runs.iter_mut().enumerate() {
        let mine = written_by_this(run);
        let refused = |place: String, what: String| DocumentError::Inconsistent {
            place: format!("runs[{number}].{place}"),
            what,
        };
        ways(run, mine).map_err(|(place, what)| refused(place, what))?;
        all_advice(run, mine).map_err(|(place, what)| refused(place, what))?;
    }
    claims::check(report)
}

/// Whether this very build of refcow wrote it.
fn written_by_this(run: &Run) -> bool {
    let environment = &run.environment;
    environment.refcow_version == env!("CARGO_PKG_VERSION")
        && environment.refcow_commit.as_deref() == option_env!("REFCOW_COMMIT")
}

/// A place in a run, and what is wrong there.
type Wrong = (String, String);

fn ways(run: &mut Run, mine: bool) -> Result<(), Wrong> {
    static WAYS: LazyLock<BTreeMap<String, Way>> = LazyLock::new(|| {
        let text = include_str!("../python_fixtures/ways/ways.toml");
        let ways: Ways = toml::from_str(text).expect("a test reads the ways");
        let all = ways.way.into_iter();
        all.map(|way| (way.id.clone(), way)).collect()
    });
    for (index, alternative) in run.alternatives.iter_mut().enumerate() {
        let place = |field: &str| format!("alternatives[{index}].{field}");
        let Some(way) = WAYS.get(&alternative.way) else {
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

fn all_advice(run: &mut Run, mine: bool) -> Result<(), Wrong> {
    let page = run.environment.page_size_bytes;
    for (index, one) in run.advice.iter_mut().enumerate() {
        let place = |field: &str| format!("advice[{index}].{field}");
        if mine {
            let noise = advice::noise_bytes(one.copied_bytes, page);
            if one.noise_bytes != noise {
                let what = format!("{}, but of so much is noise {noise}", one.noise_bytes);
                return Err((place("noise_bytes"), what));
            }
            let mut ranked = one.remedies.clone();
            advice::rank(&mut ranked, noise);
            if ranked != one.remedies {
                let what = "they are not in the order of what they save".to_owned();
                return Err((place("remedies"), what));
            }
        }
        // Why nothing helps follows from causes, which are recorded for that sentence alone: of this, nothing but a repetition
        // tells.
        let helpless = one.copied_bytes > one.noise_bytes && one.best().is_none();
        let as_it_is = one.measurement(&run.measurements, None);
        let Some(as_it_is) = as_it_is.filter(|_| !helpless) else {
            continue;
        };
        let follows = advice::finding(one, as_it_is);
        if mine && one.finding != follows {
            let what = format!("from what was measured follows {follows:?}");
            return Err((place("finding"), what));
        }
        one.finding = follows;
    }
    Ok(())
}
