//! What somebody may have meant by a name that is not known.

/// The known name that is most like this one, if any is.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// What to say of a name that is not known: the nearest one, and all.
pub fn offer<'a>(name: &str, known: impl Iterator<Item = &'a str>, what: &str) -> String {
    let known: Vec<&str> = known.collect();
    let list = format!("{what}: {}", known.join(", "));
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`? {list}"),
        None => list,
    }
}
