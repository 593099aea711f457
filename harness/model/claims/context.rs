//! The evidence as expressions see it: `FIXTURE.VISIT.…`, `FIXTURE.prepared.PREPARATION.VISIT.…`,
//! `observed.NAME.…`, `alternatives.WAY.START_METHOD.…`.

use serde_json::{Map, Value, json};

use crate::{Alternative, Child, Edge, Measurement, RegionName, Run, Spread, Summary};

/// All that was measured. Of a figure that differs from child to child the largest is taken.
pub(super) fn of(run: &Run) -> minijinja::Value {
    let mut all = Map::new();
    // Of several sizes of a fixture, the first: what claims need is measured before the
    // mitigations.
    for measurement in &run.measurements {
        if let Some(summary) = measurement.summary(run.environment.page_size_bytes) {
            let visits =
                inner(&mut all, &measurement.fixture).and_then(|visits| {
                    match &measurement.prepare {
                        Some(prepare) => inner(inner(visits, "prepared")?, prepare),
                        None => Some(visits),
                    }
                });
            if let Some(visits) = visits
                && !visits.contains_key(&measurement.visit)
            {
                visits.insert(measurement.visit.clone(), visit(measurement, &summary));
            }
        }
    }
    let observed: Map<String, Value> = run
        .observations
        .iter()
        .map(|observation| (observation.name.clone(), json!(observation.figures)))
        .collect();
    all.insert("observed".into(), Value::Object(observed));
    let mut alternatives = Map::new();
    for alternative in &run.alternatives {
        if let Some(figures) = way(alternative, run.environment.page_size_bytes) {
            let methods = alternatives
                .entry(alternative.way.clone())
                .or_insert_with(|| json!({}));
            let method = alternative.start_method.as_str();
            // Of several sizes the first, as of measurements.
            if methods.get(method).is_none() {
                methods[method] = figures;
            }
        }
    }
    all.insert("alternatives".into(), Value::Object(alternatives));
    let frames = run.environment.privileges.page_frame_numbers;
    all.insert("frames_compared".into(), json!(frames));
    minijinja::value::Serde(all).into()
}

/// The values under a name; `None` if something else has that name, as a figure of a visit that is
/// called `prepared`.
fn inner<'a>(all: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let entry = all.entry(name).or_insert_with(|| json!({}));
    entry.as_object_mut()
}

fn visit(measurement: &Measurement, summary: &Summary) -> Value {
    let optional = [
        ("share", number(summary.copied_share.as_ref())),
        ("identical", number(summary.identical.as_ref())),
        ("new_pages", number(summary.new_pages.as_ref())),
        (
            "pss_bytes",
            measurement.tree.pss_bytes_before.map(Value::from),
        ),
    ];
    let mut figures: Map<String, Value> = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    let mut put = |name: &str, value: Value| {
        figures.insert(name.to_owned(), value);
    };
    put("data_bytes", json!(summary.dataset_bytes));
    put("copied_bytes", json!(summary.copied_bytes.end()));
    put("copied_bytes_all", json!(summary.copied_bytes_all));
    let (mut pages, mut unshared, mut all_own) = (0, 0, 0);
    for name in RegionName::ALL {
        let region = summary.regions.iter().find(|region| region.name == name);
        // A region that the dataset has no pages in is one of 0 pages.
        let (all, copied) = match (name, region) {
            // With all that has a name in it.
            (RegionName::Rest, _) => (*summary.around.0.end(), *summary.around.1.end()),
            (_, Some(region)) => (*region.pages.end(), *region.unshared.end()),
            (_, None) => (0, 0),
        };
        // Without what was copied for neighbours of the data: those pages are of the edge.
        let (own, edge) = match region {
            Some(region) if name.is_data() => (*region.own.end(), *region.edge.end()),
            _ => (copied, 0),
        };
        put(
            name.as_str(),
            json!({"pages": all, "unshared": copied, "own": own, "edge": edge}),
        );
        if name.is_data() {
            pages += all;
            unshared += copied;
            all_own += own;
        }
    }
    put("pages", json!(pages));
    put("own", json!(all_own));
    put("neighbours", json!(neighbours(measurement)));
    put("unshared", json!(unshared));
    Value::Object(figures)
}

/// The types of what stands at the edges of the data and was written to, in the child that copied
/// most for it; empty if none did.
fn neighbours(measurement: &Measurement) -> String {
    let edges = measurement.children.iter().map(Child::edges);
    let pages = |edges: &Vec<Edge>| edges.iter().map(|edge| edge.pages).sum::<u64>();
    let most = edges.max_by_key(pages).unwrap_or_default();
    let types = most.iter().flat_map(|edge| &edge.types);
    let mut names: Vec<&str> = types
        .map(|(name, _)| name.as_deref().unwrap_or("the allocator"))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn way(alternative: &Alternative, page_size_bytes: u64) -> Option<Value> {
    let summary = alternative.summary(page_size_bytes)?;
    let mut figures = json!({
        "size_bytes": alternative.size_bytes,
        "children": alternative.children.len(),
        "copied_bytes": summary.copied_bytes.end(),
        "start_seconds": alternative.start_seconds,
        "handover_seconds": alternative.handover_seconds,
        "read_all_seconds": summary.read_all_seconds.end(),
        "writes_seen_by_parent": alternative.writes_seen_by_parent,
    });
    let optional = [
        (
            "pss_bytes_held",
            alternative.pss_bytes_held.map(Value::from),
        ),
        (
            "pss_bytes_read",
            alternative.pss_bytes_read.map(Value::from),
        ),
        (
            "memory_bytes_held",
            alternative.memory_bytes_held.map(Value::from),
        ),
        (
            "memory_bytes_read",
            alternative.memory_bytes_read.map(Value::from),
        ),
        (
            "writes_seen_by_sibling",
            alternative.writes_seen_by_sibling.map(Value::from),
        ),
        ("piped_bytes", number(summary.piped_bytes.as_ref())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            figures[name] = value;
        }
    }
    Some(figures)
}

fn number<T: Copy + Into<Value>>(spread: Option<&Spread<T>>) -> Option<Value> {
    spread.map(|spread| (*spread.end()).into())
}
