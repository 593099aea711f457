//! Which ways are to be compared, and whether they fit.

use super::error::SharingError;
use super::variant::{OwnDataVariant, Selection, Variant};
use crate::machine::MemoryLimits;
use crate::model::StartMethod;
use crate::model::ways::{OwnDataWayKind, Way, WayMemory, data_ways, ways};
use crate::suggest::offer;

impl Selection {
    /// The ways of these names, or all, under the given start method, or under each way's own.
    ///
    /// # Errors
    /// An unknown way, or one that does not exist under the start method.
    pub fn new(
        names: &[String],
        method: Option<StartMethod>,
        size_bytes: u64,
        children: usize,
        force: bool,
    ) -> Result<Self, SharingError> {
        let variant = |(way, start_method)| Variant { way, start_method };
        let head = |way: &'static Way| (&way.id[..], &way.start_methods[..], &way.by_default[..]);
        let chosen = choose(ways(), names, method, head)?;
        let chosen = chosen.into_iter().map(variant).collect();
        Ok(Self {
            chosen,
            required: method,
            size_bytes,
            children,
            force,
        })
    }

    /// One way more, under one start method, unless it is there already.
    ///
    /// # Errors
    /// An unknown way, or one that does not exist under the start method.
    pub fn add(&mut self, name: &str, method: StartMethod) -> Result<(), SharingError> {
        let one = Self::new(&[name.to_owned()], Some(method), 0, 0, false)?;
        for chosen in one.chosen {
            if !self
                .chosen
                .iter()
                .any(|known| known.name() == chosen.name())
            {
                self.chosen.push(chosen);
            }
        }
        Ok(())
    }

    /// Refuses what the machine has no room for. All ways are looked at before the first is
    /// measured.
    ///
    /// # Errors
    /// The first way that does not fit.
    pub fn fits(&self, memory: &MemoryLimits) -> Result<(), SharingError> {
        for Variant { way, .. } in &self.chosen {
            let bytes = |factor: f64| (self.size_bytes as f64 * factor) as u64;
            let WayMemory {
                parent,
                child,
                shared,
                in_shm,
            } = way.memory;
            if let Some(free_bytes) = memory.shm_free_bytes
                && in_shm
                && bytes(shared) > free_bytes
            {
                return Err(SharingError::ShmTooSmall {
                    way,
                    needed_bytes: bytes(shared),
                    free_bytes,
                });
            }
            let needed_bytes = bytes(parent + shared + child * self.children as f64);
            if needed_bytes > memory.available_bytes {
                return Err(SharingError::TooLarge {
                    way,
                    needed_bytes,
                    available_bytes: memory.available_bytes,
                    available_from: memory.available_from.clone(),
                    children: self.children,
                });
            }
        }
        Ok(())
    }
}

impl OwnDataVariant {
    /// The same of the ways for data of the user's own.
    ///
    /// # Errors
    /// An unknown way, or one that does not exist under the start method.
    pub fn choose(
        names: &[String],
        method: Option<StartMethod>,
    ) -> Result<Vec<Self>, SharingError> {
        let variant = |(way, start_method)| Self { way, start_method };
        let head = |way: &'static OwnDataWayKind| {
            let (methods, by_default) = (&way.start_methods[..], &way.by_default[..]);
            (&way.id[..], methods, by_default)
        };
        let chosen = choose(data_ways(), names, method, head)?;
        Ok(chosen.into_iter().map(variant).collect())
    }
}

/// A way's name, the start methods under which it exists, and those under which it is measured if
/// nobody names one.
type Head = (&'static str, &'static [StartMethod], &'static [StartMethod]);

/// Which of these ways are meant, and under which start method each.
fn choose<W>(
    all: &'static [W],
    names: &[String],
    wanted: Option<StartMethod>,
    head: impl Fn(&'static W) -> Head,
) -> Result<Vec<(&'static W, StartMethod)>, SharingError> {
    let known = || all.iter().map(|way| head(way).0);
    for name in names {
        if !known().any(|id| id == name) {
            return Err(SharingError::UnknownWay {
                name: name.clone(),
                help: offer(name, known(), "ways"),
            });
        }
    }
    let mut chosen = Vec::new();
    for way in all {
        let (id, methods, by_default) = head(way);
        if !names.is_empty() && !names.iter().any(|name| name == id) {
            continue;
        }
        let under = match wanted {
            None if by_default.is_empty() => &methods[..1],
            None => by_default,
            Some(method) if methods.contains(&method) => &[method],
            Some(_) if names.is_empty() => continue,
            Some(method) => {
                return Err(SharingError::WayWithout {
                    way: id,
                    methods,
                    method,
                });
            }
        };
        chosen.extend(under.iter().map(|method| (way, *method)));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_chosen_by_name_and_start_method() {
        let names = |names: &[&str], method| -> Result<Vec<String>, SharingError> {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let wanted = Selection::new(&names, method, 64, 1, false)?;
            Ok(wanted.chosen.iter().map(Variant::name).collect())
        };
        let of_data = |name: &str, method| -> Result<Vec<String>, SharingError> {
            let chosen = OwnDataVariant::choose(&[name.to_owned()], method)?;
            Ok(chosen.iter().map(OwnDataVariant::name).collect())
        };
        let all = ["args/fork", "args/spawn", "args/forkserver"];
        assert_eq!(names(&["args"], None).unwrap(), all);
        assert_eq!(of_data("args", None).unwrap(), all);
        assert_eq!(
            names(&["args"], Some(StartMethod::Spawn)).unwrap(),
            ["args/spawn"]
        );
        let spawned = names(&[], Some(StartMethod::Spawn)).unwrap();
        assert!(spawned.iter().all(|name| name.ends_with("/spawn")));
        assert!(!spawned.contains(&"list/spawn".to_owned()));
        for refused in [
            names(&["list"], Some(StartMethod::Spawn)),
            of_data("freeze", Some(StartMethod::Spawn)),
        ] {
            assert!(matches!(refused, Err(SharingError::WayWithout { .. })));
        }
        // Each has ways of its own.
        for unknown in [names(&["lists"], None), of_data("list", None)] {
            assert!(matches!(unknown, Err(SharingError::UnknownWay { .. })));
        }
    }
}
