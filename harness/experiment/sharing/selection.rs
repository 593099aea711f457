//! Which ways are to be compared, and whether they fit.

use super::error::SharingError;
use super::variant::{Selection, Variant};
use crate::machine::MemoryLimits;
use crate::model::StartMethod;
use crate::model::ways::{WayMemory, ways};
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
        let mut chosen: Vec<Variant> = Vec::new();
        for way in ways() {
            if !names.is_empty() && !names.contains(&way.id) {
                continue;
            }
            let start_methods = match method {
                None if way.by_default.is_empty() => vec![way.start_methods[0]],
                None => way.by_default.clone(),
                Some(method) if way.start_methods.contains(&method) => vec![method],
                Some(_) if names.is_empty() => continue,
                Some(method) => {
                    return Err(SharingError::WayWithout {
                        way: &way.id,
                        methods: &way.start_methods,
                        method,
                    });
                }
            };
            chosen.extend(
                start_methods
                    .into_iter()
                    .map(|start_method| Variant { way, start_method }),
            );
        }
        for name in names {
            if !ways().iter().any(|way| way.id == *name) {
                let known = ways().iter().map(|way| way.id.as_str());
                return Err(SharingError::UnknownWay {
                    name: name.clone(),
                    help: offer(name, known, "ways"),
                });
            }
        }
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
        assert_eq!(
            names(&["args"], None).unwrap(),
            ["args/fork", "args/spawn", "args/forkserver"]
        );
        assert_eq!(
            names(&["args"], Some(StartMethod::Spawn)).unwrap(),
            ["args/spawn"]
        );
        let spawned = names(&[], Some(StartMethod::Spawn)).unwrap();
        assert!(spawned.iter().all(|name| name.ends_with("/spawn")));
        assert!(!spawned.contains(&"list/spawn".to_owned()));
        assert!(matches!(
            names(&["list"], Some(StartMethod::Spawn)),
            Err(SharingError::WayWithout { .. })
        ));
        assert!(matches!(
            names(&["lists"], None),
            Err(SharingError::UnknownWay { .. })
        ));
    }
}
