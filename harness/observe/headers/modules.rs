//! Which modules a process has imported: the keys of `sys.modules`.

use super::Headers;
use super::types::DICT;

/// More modules than this no program has.
const MOST: u64 = 100_000;

impl<Read: FnMut(u64, &mut [u8]) -> bool> Headers<Read> {
    /// Names in `sys.modules` of the first interpreter, in the order in which their import began; `_PyRuntime` is at this address. `None` where it
    /// cannot be read, as while a module is being added.
    pub fn modules(&mut self, runtime: u64) -> Option<Vec<String>> {
        let (main, modules) = self.places(runtime)?;
        let interpreter = self.word(runtime.checked_add(main)?)?;
        let dict = self.word(interpreter.checked_add(modules)?)?;
        let kind = self.word(dict.checked_add(8)?)?;
        if self.type_at(kind)?.flags & DICT == 0 {
            return None;
        }
        let mut names = Vec::new();
        self.entries(dict, MOST, |headers, key, value| {
            // None keeps a module from being imported.
            if !headers.is_none(value) {
                names.extend(headers.text_of(key));
            }
            true
        })?;
        Some(names)
    }

    fn is_none(&mut self, object: u64) -> bool {
        let kind = object.checked_add(8).and_then(|kind| self.word(kind));
        let of_type = kind.and_then(|kind| self.type_at(kind));
        of_type.is_some_and(|of_type| &*of_type.name == "NoneType")
    }

    /// Where `_PyRuntime` has its first interpreter (`interpreters.main`), and that `sys.modules`. Before 3.13, as the headers of 3.8.18,
    /// 3.9.18, 3.10.13, 3.11.7 and 3.12.1 have them; since then `_PyRuntime` says it (pycore_debug_offsets.h).
    fn places(&mut self, runtime: u64) -> Option<(u64, u64)> {
        const COOKIE: u64 = u64::from_ne_bytes(*b"xdebugpy");
        /// `interpreters.head` is the word in front of `interpreters.main`.
        const HEAD: u64 = 5 * 8;
        Some(match self.minor {
            8 => (40, 56),
            9 | 10 => (40, 856),
            11 => (48, 888),
            12 => (48, 944),
            13..=15 => {
                if self.word(runtime)? != COOKIE {
                    return None;
                }
                let modules = if self.minor == 13 { 11 } else { 12 };
                let head = self.word(runtime.checked_add(HEAD)?)?;
                let modules = self.word(runtime + modules * 8)?;
                (head.checked_add(8)?, modules)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HEAP, MemoryWords};
    use super::*;

    /// An interpreter of 3.12 that has imported these; of an entry without a value nothing is left.
    fn imported(names: &[(&str, u64)]) -> MemoryWords {
        let (interpreter, dict, keys) = (HEAP + 0x100, HEAP + 0x800, HEAP + 0x1000);
        let mut words = MemoryWords::new();
        let kinds = words.put_dict_and_str();
        words.put(HEAP + 48, &[interpreter]);
        words.put(interpreter + 944, &[dict]);
        words.put(dict, &[1, kinds.0]);
        words.put(dict + 32, &[keys]);
        // Eight bytes of indices, entries without a hash.
        words.put(keys, &[1, 3 << 8 | 1 << 16, 0, names.len() as u64]);
        for (index, (name, value)) in (0..).zip(names) {
            let text = HEAP + 0x2000 + 64 * index;
            words.put(keys + 40 + 16 * index, &[text, *value]);
            words.put_text(text, kinds.1, name);
        }
        words
    }

    fn modules(words: &MemoryWords, minor: u8) -> Option<Vec<String>> {
        Headers::new(minor, words.clone().reader()).modules(HEAP)
    }

    #[test]
    fn what_is_in_sys_modules_is_told_in_its_order() {
        let none = HEAP + 0x4000;
        let mut words = imported(&[
            ("sys", 1),
            ("json", 1),
            ("gone", 0),
            ("barred", none),
            ("a.b", 1),
        ]);
        words.put_none(none);
        let names = ["sys", "json", "a.b"].map(str::to_owned);
        assert_eq!(modules(&words, 12), Some(names.to_vec()));
    }

    #[test]
    fn of_what_is_no_dict_or_another_version_nothing_is_told() {
        let mut words = imported(&[("sys", 1)]);
        for minor in [7, 8, 11, 13, 16] {
            assert_eq!(modules(&words, minor), None, "{minor}");
        }
        words.put(HEAP + 0x808, &[0]);
        assert_eq!(modules(&words, 12), None);
    }
}
