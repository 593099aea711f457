//! Numbers as people read them. Exact values are in the JSON.

use crate::Spread;

/// `96,050`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 page`, `96,050 pages`.
pub fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", count(number), one_or_several(number, one, several))
}

/// The word for so many.
pub fn one_or_several<'a>(number: u64, one: &'a str, several: &'a str) -> &'a str {
    if number == 1 { one } else { several }
}

/// `+12`, `0`, `−3`.
pub fn signed(number: i64) -> String {
    let sign = match number {
        0 => "",
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{}", count(number.unsigned_abs()))
}

/// `0 B`, `312 KiB`, `375.6 MiB`: binary units, at most four digits.
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // From here on a smaller unit would need four digits.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" || value.fract() == 0.0 || value >= 99.95 && unit == "KiB" {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// The same in two digits, for what is not the same each time: `40 MiB`, `3.8 MiB`, `240 KiB`.
pub fn about_bytes(number: u64) -> String {
    let text = bytes(number);
    let Some((value, unit)) = text.split_once(' ') else {
        return text;
    };
    let Ok(value) = value.parse::<f64>() else {
        return text;
    };
    if value < 10.0 {
        return text;
    }
    let step = if value < 100.0 { 1.0 } else { 10.0 };
    format!("{:.0} {unit}", (value / step).round() * step)
}

/// The same, with a sign if there are fewer than none: `−8 KiB`.
pub fn signed_bytes(number: i64) -> String {
    let sign = if number < 0 { "−" } else { "" };
    format!("{sign}{}", bytes(number.unsigned_abs()))
}

/// `0.04 %`; what is not nothing never reads 0.
pub fn share(part: f64) -> String {
    let percent = part * 100.0;
    if percent == 0.0 {
        "0 %".into()
    } else if percent < 0.01 {
        "< 0.01 %".into()
    } else if percent < 9.995 {
        format!("{percent:.2} %")
    } else if percent < 99.95 || part < 1.0 {
        format!("{:.1} %", percent.min(99.9))
    } else {
        format!("{percent:.0} %")
    }
}

/// `41 µs`, `1.24 ms`, `3.1 s`.
pub fn time(seconds: f64) -> String {
    let micros = seconds * 1e6;
    if micros > 0.0 && micros < 0.05 {
        "< 0.1 µs".into()
    } else if micros < 9.95 {
        format!("{micros:.1} µs")
    } else if micros < 999.5 {
        format!("{micros:.0} µs")
    } else if micros < 999_500.0 {
        format!("{:.1} ms", micros / 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// `20 s`, `2 min`, `1 h 20 min`: what is an estimate, in round numbers.
pub fn rough_time(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round().max(1.0);
    if seconds <= 50.0 {
        format!("{:.0} s", (seconds / 10.0).ceil().max(1.0) * 10.0)
    } else if minutes < 60.0 {
        format!("{minutes:.0} min")
    } else {
        let tens = (minutes / 10.0).round();
        let (hours, tens) = ((tens / 6.0).floor(), tens % 6.0);
        match tens == 0.0 {
            true => format!("{hours:.0} h"),
            false => format!("{hours:.0} h {:.0} min", tens * 10.0),
        }
    }
}

/// `1.1 s`, `41 s`, `4 min 1 s`, `1 h 20 min`: how long something took that took a while.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round();
    let minutes = (seconds / 60.0).round();
    if seconds < 0.95 {
        time(seconds)
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if whole < 60.0 {
        format!("{whole:.0} s")
    } else if whole < 3600.0 {
        let minutes = (whole / 60.0).floor();
        format!("{minutes:.0} min {:.0} s", whole - minutes * 60.0)
    } else {
        let hours = (minutes / 60.0).floor();
        format!("{hours:.0} h {:.0} min", minutes - hours * 60.0)
    }
}

/// `38`, or `37–38` where children differ.
pub fn spread<T: Copy>(figures: &Spread<T>, each: impl Fn(T) -> String) -> String {
    let (least, most) = (each(*figures.start()), each(*figures.end()));
    if least == most {
        most
    } else {
        format!("{least}–{most}")
    }
}

/// Words that stand behind a number and belong to it.
const UNITS: [&str; 16] = [
    "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "%", "µs", "ms", "s", "min", "h", "page",
    "pages", "×",
];

/// Words that stand in front of a number and belong to it.
const NAMES: [&str; 2] = ["CPython", "Python"];

/// The same text with no place for a line to end between a number and its unit, or a name and its
/// version.
pub fn unbroken(text: &str) -> String {
    let mut unbroken = String::with_capacity(text.len());
    for word in text.split_inclusive(' ') {
        let unit =
            word.trim_end_matches(|c: char| c == ' ' || c.is_ascii_punctuation() && c != '%');
        let is_version = word.starts_with(|c: char| c.is_ascii_digit());
        let stays = |before: &str| {
            UNITS.contains(&unit) && before.ends_with(|c: char| c.is_ascii_digit())
                || is_version
                    && before
                        .rsplit(' ')
                        .next()
                        .is_some_and(|name| NAMES.contains(&name))
        };
        if unbroken.strip_suffix(' ').is_some_and(stays) {
            unbroken.pop();
            unbroken.push('\u{a0}');
        }
        unbroken.push_str(word);
    }
    unbroken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(1_000, "1,000")]
    #[case(1_234_567, "1,234,567")]
    fn counts(#[case] number: u64, #[case] text: &str) {
        assert_eq!(count(number), text);
    }

    #[rstest]
    #[case(0, "0 pages")]
    #[case(1, "1 page")]
    #[case(1_000, "1,000 pages")]
    fn counts_of_something(#[case] number: u64, #[case] text: &str) {
        assert_eq!(counted(number, "page", "pages"), text);
    }

    #[rstest]
    #[case(0.5, "500.0 ms")]
    #[case(0.999, "1.0 s")]
    #[case(1.13, "1.1 s")]
    #[case(9.94, "9.9 s")]
    #[case(9.96, "10 s")]
    #[case(41.4, "41 s")]
    #[case(59.6, "1 min 0 s")]
    #[case(241.0, "4 min 1 s")]
    #[case(3_599.6, "1 h 0 min")]
    #[case(4_830.0, "1 h 21 min")]
    #[case(4_829.0, "1 h 20 min")]
    #[case(7_199.0, "2 h 0 min")]
    fn durations_are_as_long_as_they_need(#[case] seconds: f64, #[case] text: &str) {
        assert_eq!(duration(seconds), text);
    }

    #[rstest]
    #[case(0, "0 B")]
    #[case(244 << 10, "240 KiB")]
    #[case(3_984_588, "3.8 MiB")]
    #[case(41_628_467, "40 MiB")]
    #[case(393_216_000, "380 MiB")]
    fn what_is_not_the_same_each_time_has_two_digits(#[case] number: u64, #[case] text: &str) {
        assert_eq!(about_bytes(number), text);
    }

    #[rstest]
    #[case(0.0, "10 s")]
    #[case(10.1, "20 s")]
    #[case(50.0, "50 s")]
    #[case(50.1, "1 min")]
    #[case(89.0, "1 min")]
    #[case(130.0, "2 min")]
    #[case(59.4 * 60.0, "59 min")]
    #[case(59.6 * 60.0, "1 h")]
    #[case(76.0 * 60.0, "1 h 20 min")]
    #[case(116.0 * 60.0, "2 h")]
    fn rough_times(#[case] seconds: f64, #[case] text: &str) {
        assert_eq!(rough_time(seconds), text);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(1_200, "+1,200")]
    #[case(-3, "−3")]
    fn differences(#[case] number: i64, #[case] text: &str) {
        assert_eq!(signed(number), text);
    }

    #[rstest]
    #[case(0, "0 B")]
    #[case(999, "999 B")]
    #[case(1_023, "1.0 KiB")]
    #[case(4_096, "4 KiB")]
    #[case(65_536, "64 KiB")]
    #[case(160_000, "156 KiB")]
    #[case(1_048_575, "1.0 MiB")]
    #[case(393_216_000, "375 MiB")]
    #[case(393_900_000, "375.7 MiB")]
    #[case(u64::MAX, "16 EiB")]
    fn sizes(#[case] number: u64, #[case] text: &str) {
        assert_eq!(bytes(number), text);
    }

    #[rstest]
    #[case(0.0, "0 %")]
    #[case(0.000_001, "< 0.01 %")]
    #[case(0.000_4, "0.04 %")]
    #[case(0.5, "50.0 %")]
    #[case(0.999_99, "99.9 %")]
    #[case(1.0, "100 %")]
    fn shares(#[case] part: f64, #[case] text: &str) {
        assert_eq!(share(part), text);
    }

    #[rstest]
    #[case(0.0, "0.0 µs")]
    #[case(0.000_000_000_1, "< 0.1 µs")]
    #[case(0.000_000_4, "0.4 µs")]
    #[case(0.000_041, "41 µs")]
    #[case(0.001_24, "1.2 ms")]
    #[case(0.999_9, "1.00 s")]
    fn times(#[case] seconds: f64, #[case] text: &str) {
        assert_eq!(time(seconds), text);
    }

    #[rstest]
    #[case(
        "of 4 MiB, 2 s: 96,027 pages",
        "of 4\u{a0}MiB, 2\u{a0}s: 96,027\u{a0}pages"
    )]
    #[case("19.6 % (12 µs)", "19.6\u{a0}% (12\u{a0}µs)")]
    #[case("a B, 3 bars  KiB", "a B, 3 bars  KiB")]
    #[case("of CPython 3.11.7, 2 s", "of CPython\u{a0}3.11.7, 2\u{a0}s")]
    #[case("CPython build 3", "CPython build 3")]
    fn numbers_and_units_stay_together(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(unbroken(text), expected);
    }

    #[test]
    fn children_that_agree_need_one_figure() {
        assert_eq!(spread(&(3..=3), count), "3");
        assert_eq!(spread(&(3..=1_000), count), "3–1,000");
    }

    proptest! {
        #[test]
        fn nothing_reads_as_nothing_but_nothing(number in 1u64.., part in 1e-12f64..1.0) {
            prop_assert!(!bytes(number).starts_with("0 ") && !bytes(number).starts_with("0.0"));
            prop_assert!(!share(part).starts_with("0 ") && !share(part).starts_with("100"));
        }
    }
}
