//! Whether a way can be used with the user's data, and here; why not.

use super::survey::Seen;
use crate::experiment::sharing::variant::OwnDataVariant;
use crate::machine::MemoryLimits;
use crate::model::StartMethod;
use crate::model::ways::When;

/// What every copy of the data takes of that which the parent has, at most: unpickled, its strings are no longer one.
const COPY: f64 = 1.5;

/// Whether the data is pickled on this way.
pub(super) fn pickles(OwnDataVariant { way, start_method }: &OwnDataVariant) -> bool {
    match way.pickled {
        When::Never => false,
        When::UnlessForked => *start_method != StartMethod::Fork,
        When::Always => true,
    }
}

/// Why a way cannot be used with data that is so, and of this size. `memory`: what there is for all workers, unless the user
/// wants it tried.
pub(super) fn does_not_apply(
    variant: &OwnDataVariant,
    workers: usize,
    (seen, size_bytes): (&Seen, Option<u64>),
    version: &str,
    memory: Option<&MemoryLimits>,
) -> Option<String> {
    let OwnDataVariant { way, start_method } = variant;
    if !seen.has(*start_method) {
        return Some(format!(
            "Python {version} has no start method {start_method}"
        ));
    }
    if pickles(variant) {
        let why_not = match way.as_argument {
            true => &seen.not_passable,
            false => &seen.not_picklable,
        };
        if let Some(what) = why_not {
            return Some(format!("not picklable: {what}"));
        }
        if let Some(what) = &seen.not_unpicklable {
            return Some(format!("it was pickled, and cannot be unpickled: {what}"));
        }
    }
    if (pickles(variant) || way.needs.is_some())
        && let Some(why) = &seen.not_looked_at
    {
        return Some(format!(
            "whether the data can be pickled was not found out: {why}"
        ));
    }
    let package = way.package.iter();
    let package = package.filter(|package| !seen.packages.contains(package));
    let package = package.map(|package| format!("{package} is not installed for this Python"));
    let why_not: Vec<String> = way
        .needs
        .and_then(|needs| seen.lacks(needs))
        .into_iter()
        .chain(package)
        .collect();
    if !why_not.is_empty() {
        return Some(why_not.join(", and "));
    }
    let memory = memory?;
    // Pages of the parent that were never written take no memory, and those of a copy do.
    let copied = seen.pickled_bytes.filter(|_| pickles(variant));
    let size = size_bytes.max(copied).unwrap_or(0) as f64;
    let needed = (size * (1.0 + COPY * (workers + 1) as f64)) as u64;
    (needed > memory.available_bytes).then(|| {
        format!(
            "{workers} workers could need {}, and {} is free ({}); --force tries it",
            crate::numbers::bytes(needed),
            crate::numbers::bytes(memory.available_bytes),
            memory.available_from
        )
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    /// What is said of a way, of data that is picklable, holds everything, and of which these things are otherwise.
    fn of(way: &str, method: StartMethod, otherwise: Value) -> Option<String> {
        let mut seen = json!({
            "pickled_bytes": 1000, "arrays": 1, "tables": 1, "tensors": 1, "cuttable": true, "flat": true, "plain": true,
            "packages": ["joblib", "torch", "pyarrow"], "methods": ["fork", "spawn", "forkserver"], "default": "fork",
        });
        let all = seen.as_object_mut().unwrap();
        all.extend(otherwise.as_object().unwrap().clone());
        let seen: Seen = serde_json::from_value(seen).unwrap();
        let variant = OwnDataVariant::choose(&[way.to_owned()], Some(method)).unwrap()[0];
        let memory = MemoryLimits {
            available_bytes: 1 << 30,
            available_from: "MemAvailable".to_owned(),
            shm_free_bytes: None,
        };
        does_not_apply(&variant, 2, (&seen, Some(1 << 20)), "3.12.1", Some(&memory))
    }

    #[rstest]
    #[case::no_method("args", StartMethod::Forkserver, json!({"methods": ["fork", "spawn"]}), "Python 3.12.1 has no start method forkserver")]
    #[case::not_picklable("file", StartMethod::Spawn, json!({"not_picklable": "data['x'] (cannot pickle)"}), "not picklable: data['x'] (cannot pickle)")]
    #[case::not_passable("args", StartMethod::Spawn, json!({"not_picklable": "data", "not_passable": "data['x'] (cannot pickle)"}), "not picklable: data['x'] (cannot pickle)")]
    #[case::not_unpicklable("file", StartMethod::Fork, json!({"not_unpicklable": "TypeError: no"}), "it was pickled, and cannot be unpickled: TypeError: no")]
    #[case::not_looked_at("file", StartMethod::Fork, json!({"not_looked_at": "it took longer than 120 s"}), "whether the data can be pickled was not found out: it took longer than 120 s")]
    #[case::no_array("memmap", StartMethod::Fork, json!({"arrays": 0}), "the data holds no NumPy array")]
    #[case::no_table("arrow", StartMethod::Fork, json!({"tables": 0}), "the data holds no Arrow table")]
    #[case::no_tensor("torch", StartMethod::Spawn, json!({"tensors": 0}), "the data holds no tensor")]
    #[case::one_thing("pool_map", StartMethod::Fork, json!({"cuttable": false}), "the data is no sequence that can be cut into parts of its kind")]
    #[case::not_flat("shareable_list", StartMethod::Fork, json!({"flat": false}), "the data is no list of numbers, strings, bytes and None alone")]
    #[case::no_list("manager", StartMethod::Fork, json!({"plain": false}), "the data is neither a list nor a dict, or of a class made of one")]
    #[case::arrays_of_objects("memmap", StartMethod::Fork, json!({"arrays": 0, "other_arrays": "Python objects"}), "the NumPy arrays in the data are of Python objects, and only plain arrays of numbers or text can be shared so")]
    #[case::no_joblib("joblib", StartMethod::Fork, json!({"packages": []}), "joblib is not installed for this Python")]
    #[case::no_torch("torch", StartMethod::Spawn, json!({"packages": ["joblib"], "tensors": 0}), "the data holds no tensor, and torch is not installed for this Python")]
    #[case::no_arrow("arrow", StartMethod::Fork, json!({"packages": [], "tables": 0}), "the data holds no Arrow table, and pyarrow is not installed for this Python")]
    fn a_way_that_does_not_apply_says_why(
        #[case] way: &str,
        #[case] method: StartMethod,
        #[case] otherwise: Value,
        #[case] reason: &str,
    ) {
        assert_eq!(of(way, method, json!({})), None);
        assert_eq!(of(way, method, otherwise).unwrap(), reason);
    }

    #[test]
    fn a_new_process_takes_more_as_its_arguments_than_can_be_pickled() {
        let seen = json!({"not_picklable": "data['lock'] (a lock)", "pickled_bytes": null});
        for way in ["args", "pool"] {
            assert_eq!(of(way, StartMethod::Spawn, seen.clone()), None, "{way}");
        }
        for way in ["executor", "file"] {
            assert!(of(way, StartMethod::Spawn, seen.clone()).is_some(), "{way}");
        }
    }

    #[test]
    fn what_is_inherited_need_not_be_picklable() {
        let seen = json!({"not_picklable": "data", "not_looked_at": "no"});
        for way in ["inherit", "freeze", "args", "pool"] {
            assert_eq!(of(way, StartMethod::Fork, seen.clone()), None, "{way}");
        }
    }

    #[test]
    fn copies_that_do_not_fit_into_memory_are_tried_by_force_alone() {
        let seen = json!({"packages": [], "methods": ["fork"], "default": "fork"});
        let seen: Seen = serde_json::from_value(seen).unwrap();
        let variant = OwnDataVariant::choose(&["inherit".to_owned()], None).unwrap()[0];
        let memory = MemoryLimits {
            available_bytes: 10 << 20,
            available_from: "memory.max".to_owned(),
            shm_free_bytes: None,
        };
        let asked =
            |size, memory| does_not_apply(&variant, 2, (&seen, Some(size)), "3.12.1", memory);
        assert_eq!(
            asked(4 << 20, Some(&memory)).unwrap(),
            "2 workers could need 22 MiB, and 10 MiB is free (memory.max); --force tries it"
        );
        assert_eq!(asked(4 << 20, None), None);
        assert_eq!(asked(1 << 20, Some(&memory)), None);
        // What was never written takes nothing in the parent.
        let never_written = of(
            "file",
            StartMethod::Fork,
            json!({"pickled_bytes": 1u64 << 30}),
        );
        assert!(
            never_written
                .unwrap()
                .starts_with("2 workers could need 5.5 GiB")
        );
    }
}
