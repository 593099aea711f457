//! What any document stays within: looked at piece by piece, before anything is made of it in memory.
//!
//! A document may be somebody else's. Whoever reads one adds figures up, multiplies them by the size of a page and makes tables of
//! lists; all of that stays within 64 bits, and within reasonable time and memory, because of what is refused here.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::{DocumentError, malformed};
use crate::schema::text::is_no_letter;

/// No figure is beyond it, be it of bytes: 256 TiB, an address space of 48 bits. A few thousand of them can be added up.
pub(super) const MOST: u64 = 1 << 48;
/// 256 TiB of the smallest pages, as many as an address space of 48 bits has: sums of them fit into 64 bits.
pub(super) const MOST_PAGES: u64 = 1 << 36;
/// Of one measurement: as many as `--children` takes.
pub(super) const MOST_CHILDREN: usize = 64;
/// More than thirty years.
pub(super) const MOST_SECONDS: f64 = 1e9;
/// Less than any clock tells.
const LEAST_SECONDS: f64 = 1e-12;
/// In bytes: as long as an argument of a program may be (`MAX_ARG_STRLEN` of Linux).
const LONGEST_TEXT: usize = 128 << 10;
/// Names of figures, packages and parameters, in bytes.
const LONGEST_NAME: usize = 1_000;
/// Entries of one list, or fields of one object.
const MOST_ENTRIES: usize = 50_000;
/// Of all kinds together; the largest runs have some hundred thousand.
const MOST_VALUES: u64 = 2_000_000;

/// Walks through a text of JSON.
///
/// # Errors
/// When it is none, or holds something that no document holds: with the place.
pub(super) fn check(bytes: &[u8]) -> Result<(), DocumentError> {
    let mut walk = BoundsWalk::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let step = BoundsStep {
        walk: &mut walk,
        of_the_users: false,
    };
    let walked = step.deserialize(&mut json).and_then(|()| json.end());
    let Err(error) = walked else { return Ok(()) };
    Err(match walk.refused {
        Some(refused) => refused,
        None => malformed(&walk.place, &error),
    })
}

/// Where the walk is, and what it has met.
#[derive(Default)]
struct BoundsWalk {
    place: String,
    values: u64,
    refused: Option<DocumentError>,
}

impl BoundsWalk {
    fn refuse<E: serde::de::Error>(
        &mut self,
        error: fn(String, String) -> DocumentError,
        what: String,
    ) -> E {
        self.refused = Some(error(self.place.clone(), what));
        // The reader has to be told something; the error that is kept is what is shown.
        E::custom("refused")
    }
}

fn excessive(place: String, what: String) -> DocumentError {
    DocumentError::Excessive { place, what }
}

fn inconsistent(place: String, what: String) -> DocumentError {
    DocumentError::Inconsistent { place, what }
}

/// One value.
struct BoundsStep<'a> {
    walk: &'a mut BoundsWalk,
    /// Whether it is what a user gave to code of his own, which may be any number: nothing is made of it but its digits.
    of_the_users: bool,
}

impl BoundsStep<'_> {
    fn number<E: serde::de::Error>(self, number: f64, shown: &dyn fmt::Display) -> Result<(), E> {
        let field = self.walk.place.rsplit('.').next().unwrap_or_default();
        let seconds = field.ends_with("_seconds");
        let right = match seconds {
            _ if self.of_the_users => true,
            true => number == 0.0 || (LEAST_SECONDS..=MOST_SECONDS).contains(&number),
            false => number.abs() <= MOST as f64,
        };
        if right {
            return Ok(());
        }
        let what = if seconds {
            format!("{shown} seconds")
        } else {
            format!("the number {shown}")
        };
        Err(self.walk.refuse(excessive, what))
    }

    fn within<E: serde::de::Error>(&mut self, entries: usize) -> Result<(), E> {
        match entries > MOST_ENTRIES {
            true => Err(self
                .walk
                .refuse(excessive, format!("more than {MOST_ENTRIES} entries"))),
            false => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for BoundsStep<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.walk.values += 1;
        if self.walk.values > MOST_VALUES {
            return Err(self
                .walk
                .refuse(excessive, format!("more than {MOST_VALUES} values")));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BoundsStep<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.number(number as f64, &number)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.number(number as f64, &number)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        // Rust writes out 300 digits where this is short.
        self.number(number, &format_args!("{number:e}"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let place = &self.walk.place;
        // A map has some letters for every stretch of pages.
        let is_map = place.ends_with("].map") && !self.of_the_users;
        if text.len() > LONGEST_TEXT && !is_map {
            let what = format!("a text of {} bytes", text.len());
            return Err(self.walk.refuse(excessive, what));
        }
        // Of the texts that refcow writes, `sys.version` has a line's end.
        let allowed = |letter: char| letter == '\n' && place.ends_with("python.build");
        match text
            .chars()
            .any(|letter| is_no_letter(letter) && !allowed(letter))
        {
            true => Err(self
                .walk
                .refuse(inconsistent, "a text with a control character".into())),
            false => Ok(()),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let end = self.walk.place.len();
        for index in 0.. {
            self.walk.place.push_str(&format!("[{index}]"));
            let step = BoundsStep {
                walk: self.walk,
                of_the_users: self.of_the_users,
            };
            if entries.next_element_seed(step)?.is_none() {
                self.walk.place.truncate(end);
                break;
            }
            self.walk.place.truncate(end);
            self.within(index + 1)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let end = self.walk.place.len();
        let mut names: HashSet<String> = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name.chars().any(is_no_letter) {
                let what = "a name with a control character".into();
                return Err(self.walk.refuse(inconsistent, what));
            }
            if name.len() > LONGEST_NAME {
                let what = format!("a name of {} bytes", name.len());
                return Err(self.walk.refuse(excessive, what));
            }
            if end > 0 {
                self.walk.place.push('.');
            }
            self.walk.place.push_str(&name);
            // Of a claim or an observation these are figures of refcow's.
            let figures = self.walk.place[..end].ends_with("figures");
            let of_the_users = self.of_the_users
                || !figures && matches!(&name[..], "parameters" | "count" | "item_bytes");
            if !names.insert(name) {
                let what = "it is there twice".into();
                return Err(self.walk.refuse(inconsistent, what));
            }
            fields.next_value_seed(BoundsStep {
                walk: self.walk,
                of_the_users,
            })?;
            self.walk.place.truncate(end);
            self.within(names.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn refused(document: &Value) -> String {
        check(document.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[rstest]
    fn controls_are_no_text(#[values("a\nb", "\u{1b}[31m", "\u{202e}", "\u{0}")] text: &str) {
        let error = refused(&json!({"runs": [{"name": text}]}));
        assert!(error.contains(": runs[0].name: a text with"), "{error}");
        let error = refused(&json!({"runs": [1, {text: 1}]}));
        assert!(error.contains(": runs[1]: a name with"), "{error}");
    }

    #[test]
    fn any_other_text_is_one() {
        for right in [
            json!({"a": ["é → |`<", 1, null, true]}),
            json!({"runs": [{"python": {"build": "3.8.18 (default) \n[GCC]"}}]}),
        ] {
            check(right.to_string().as_bytes()).unwrap();
        }
    }

    #[rstest]
    #[case::more_bytes_than_there_are_addresses(json!({"a_bytes": MOST + 1}), "a_bytes: the number 281474976710657")]
    #[case::most_of_64_bits(json!({"pages": u64::MAX}), "pages: the number 18446744073709551615")]
    #[case::least_of_64_bits(json!({"value": i64::MIN}), "value: the number -9223372036854775808")]
    #[case::any_other(json!({"value": -1e308}), "value: the number -1e308")]
    #[case::time_that_runs_backwards(json!({"visit_seconds": -1e-3}), "visit_seconds: -1e-3 seconds")]
    #[case::time_without_end(json!({"visit_seconds": 1e300}), "visit_seconds: 1e300 seconds")]
    #[case::time_that_no_clock_tells(json!({"visit_seconds": 5e-324}), "visit_seconds: 5e-324 seconds")]
    fn a_number_that_cannot_be_is_refused(#[case] fields: Value, #[case] said: &str) {
        let error = refused(&json!({"runs": [{"of": fields}]}));
        assert!(error.contains(&format!(": runs[0].of.{said}")), "{error}");
    }

    #[test]
    fn numbers_of_the_users_are_any() {
        check(br#"{"parameters": {"big": 1e300, "a_seconds": [-1]}, "count": 18446744073709551615, "visit_seconds": 0}"#).unwrap();
        // Which JSON itself has no number for.
        let error = check(br#"{"parameters": {"big": [1e400]}}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("parameters.big[0]: number out of range"),
            "{error}"
        );
    }

    #[test]
    fn what_is_long_is_refused() {
        let error = refused(&json!({"runs": [{"finding": "a".repeat(LONGEST_TEXT + 1)}]}));
        assert!(
            error.contains("runs[0].finding: a text of 131073 bytes"),
            "{error}"
        );
        let map = json!({"regions": [{"map": "1. 1c ".repeat(LONGEST_TEXT)}]});
        check(map.to_string().as_bytes()).unwrap();
        let error = refused(&json!({"runs": {"a".repeat(LONGEST_NAME + 1): 1}}));
        assert!(error.contains("runs: a name of 1001 bytes"), "{error}");
        let error = refused(&json!({"runs": vec![0; MOST_ENTRIES + 1]}));
        assert!(error.contains("runs: more than 50000 entries"), "{error}");
        let fields = (0..=MOST_ENTRIES).map(|number| (number.to_string(), json!(number)));
        let error = refused(&json!({"runs": Value::Object(fields.collect())}));
        assert!(error.contains("runs: more than 50000 entries"), "{error}");
        let nested = vec![vec![0; 2_500]; 1_000];
        let error = refused(&json!({"runs": nested}));
        assert!(error.contains("more than 2000000 values"), "{error}");
    }

    #[test]
    fn what_is_there_twice_is_refused() {
        let error = check(br#"{"runs": [{"packages": {"a": "1", "b": "1", "a": "2"}}]}"#);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("runs[0].packages.a: it is there twice"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_json_is_refused_with_the_place() {
        let said = |text: &str| check(text.as_bytes()).unwrap_err().to_string();
        let error = said(r#"{"runs": [{}, {"a": tru}]}"#);
        assert!(
            error.contains("runs[1].a: ") && error.contains("line 1"),
            "{error}"
        );
        let deep = said(&format!("{{\"a\": {}", "[".repeat(1_000_000)));
        assert!(deep.contains("recursion limit exceeded"), "{deep}");
        assert!(said("{} {}").contains("trailing characters"));
        let bytes = b"{\"a\": \"\xff\"}";
        assert!(
            check(bytes)
                .unwrap_err()
                .to_string()
                .contains("a: invalid unicode")
        );
    }
}
