//! What a region's map and causes must agree in with its figures.

use super::bounds::MOST_PAGES;
use crate::{Cause, Causes, Child, Fate, Region};

/// What is wrong with a region's map, if anything is: it must say what the region's figures say.
pub(super) fn map_wrong(child: &Child, region: &Region) -> Option<String> {
    let map = region.map.as_ref()?;
    let mut on_the_way = child.copied_on_the_way.iter();
    let on_the_way = on_the_way.find(|one| one.region == region.name);
    let (said, drawn) = (
        on_the_way.map_or(0, |one| one.pages),
        map.sum(|fate| fate == Fate::OnTheWay),
    );
    if said != drawn {
        return Some(format!(
            "its map has {drawn} pages copied on the way, and copied_on_the_way says {said}"
        ));
    }
    let unshared = map.sum(|fate| matches!(fate, Fate::Copied { .. }));
    let sum_of = |wanted| {
        map.sum(|fate| matches!(fate, Fate::Copied { identical, .. } if identical == wanted))
    };
    // Of a copy it is known whether it is identical if it is known of all.
    let identical = match region.identical {
        Some(identical) => sum_of(Some(true)) == identical && sum_of(None) == 0,
        None => sum_of(None) == unshared,
    };
    let causes = match &region.causes {
        Some(causes) => map.causes().as_ref() == Some(causes),
        None => map.sum(|fate| matches!(fate, Fate::Copied { cause: Some(_), .. })) == 0,
    };
    let right = map.pages() == region.pages && unshared == region.unshared && identical && causes;
    (!right).then(|| "the map of its pages belongs to another region".into())
}

/// What is wrong with the causes of a region, if anything is.
pub(super) fn causes_wrong(child: &Child, region: &Region) -> Option<String> {
    let of_region = || {
        let all = child.written.iter();
        all.filter(|written| written.region == region.name)
    };
    let Some(causes) = &region.causes else {
        let there = of_region().next().is_some();
        return there.then(|| "writes are listed, but no causes".to_owned());
    };
    let too_many = Cause::ALL
        .iter()
        .any(|cause| causes.of(*cause) > MOST_PAGES);
    if too_many || causes.sum() != region.unshared {
        return Some("causes do not add up to the unshared pages".into());
    }
    let mut listed = Causes::default();
    let mut identical = 0;
    for written in of_region() {
        if written.pages > MOST_PAGES || written.identical > Some(written.pages) {
            return Some("more identical copies than pages of a cause".into());
        }
        let sum = listed.of_mut(written.cause);
        *sum = sum.saturating_add(written.pages);
        identical += written.identical.unwrap_or(0);
    }
    if listed != *causes {
        return Some("the listed writes do not match the causes".into());
    }
    let known = of_region().all(|written| written.identical.is_some());
    match region.identical {
        Some(of_all) if known && of_all != identical => {
            Some("identical copies do not add up".into())
        }
        _ => None,
    }
}
