//! What failed for one reason, as one message.

/// What failed: an interpreter, something that was measured with it, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// Which interpreter. `None` where one alone is measured, or all are alike.
    pub interpreter: Option<String>,
    /// Which dataset, observation or way to share.
    pub what: Option<String>,
}

/// The names of all, in their order: `CPython 3.11.2, CPython 3.13.0: ints, lists`. What fails with
/// the same interpreters is said once for them.
pub fn names(failed: &[Failed]) -> String {
    let mut by_interpreter: Vec<(&Option<String>, Vec<&str>)> = Vec::new();
    for one in failed {
        let what = one.what.as_deref();
        match by_interpreter
            .iter_mut()
            .find(|(known, _)| *known == &one.interpreter)
        {
            Some((_, all)) => all.extend(what.filter(|what| !all.contains(what))),
            None => by_interpreter.push((&one.interpreter, what.into_iter().collect())),
        }
    }
    let mut by_what: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for (interpreter, all) in by_interpreter {
        let interpreter = interpreter.as_deref();
        match by_what.iter_mut().find(|(_, known)| *known == all) {
            Some((interpreters, _)) => interpreters.extend(interpreter),
            None => by_what.push((interpreter.into_iter().collect(), all)),
        }
    }
    let parts = by_what.into_iter().map(|(interpreters, all)| {
        let lists = [interpreters, all];
        let lists = lists.iter().filter(|list| !list.is_empty());
        lists.map(|list| list.join(", ")).collect::<Vec<_>>()
    });
    let parts: Vec<_> = parts.map(|lists| lists.join(": ")).collect();
    parts.join("; ")
}

/// What failed, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What.
    pub failed: Failed,
    /// All that is said of it if nothing else fails for this reason.
    pub alone: String,
    /// Why, without its name: a line, and below it perhaps what belongs to this failure alone, as a
    /// traceback does.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// All that failed for one reason.
#[derive(Clone, Debug)]
pub struct Message {
    /// In one line, for a report.
    pub line: String,
    /// As it is shown to whoever runs refcow.
    pub text: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// For a space at which no line ends. No path holds it.
const GLUE: &str = "\0";

/// A message for each reason.
pub fn messages(failures: impl IntoIterator<Item = Failure>) -> Vec<Message> {
    let by_reason = together(failures.into_iter().map(|failure| {
        let line = failure.reason.lines().next().unwrap_or_default();
        ((line.to_owned(), failure.help.clone()), failure)
    }));
    let message = |((reason, help), failures): ((String, Option<String>), Vec<Failure>)| {
        let glued = |name: &Option<String>| name.as_ref().map(|name| name.replace(' ', GLUE));
        let failed = failures.iter().map(|one| Failed {
            interpreter: glued(&one.failed.interpreter),
            what: glued(&one.failed.what),
        });
        let names = names(&failed.collect::<Vec<_>>());
        let (line, text) = match &failures[..] {
            [.., one] if failures.len() == 1 || names.is_empty() => {
                let line = one.alone.lines().next().unwrap_or_default();
                (line.to_owned(), one.alone.clone())
            }
            _ => {
                let line = format!("{names}: {reason}");
                let text = filled(&line).replace(GLUE, " ") + &details(&failures);
                (line.replace(GLUE, " "), text)
            }
        };
        Message { line, text, help }
    };
    by_reason.into_iter().map(message).collect()
}

/// In lines that any terminal has room for. Names stay whole.
fn filled(line: &str) -> String {
    const COLUMNS: usize = 80;
    let options = textwrap::Options::new(COLUMNS)
        .initial_indent("error: ")
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    let text = textwrap::fill(line, options);
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// What stands below the reasons, once where it is the same but for the marks that some versions of
/// Python put below a line of a traceback.
fn details(failures: &[Failure]) -> String {
    let is_mark = |line: &&str| line.chars().all(|letter| " ^~".contains(letter));
    let all = failures.iter().filter_map(|failure| {
        let (_, below) = failure.reason.split_once('\n')?;
        let words: Vec<_> = below.lines().filter(|line| !is_mark(line)).collect();
        Some((words, below))
    });
    let all = together(all).into_iter();
    all.map(|(_, same)| format!("\n{}", same[0])).collect()
}

/// Things with what they have in common, in the order of the first of each.
pub fn together<K: PartialEq, T>(all: impl IntoIterator<Item = (K, T)>) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for (key, one) in all {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(one),
            None => groups.push((key, vec![one])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(failed: &[(&str, &str)]) -> String {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let failed = failed.iter().map(|(interpreter, what)| Failed {
            interpreter: some(interpreter),
            what: some(what),
        });
        names(&failed.collect::<Vec<_>>())
    }

    #[test]
    fn each_name_is_said_once_where_that_can_be() {
        assert_eq!(said(&[("", "a")]), "a");
        assert_eq!(said(&[("3.11", "a")]), "3.11: a");
        assert_eq!(said(&[("", "b"), ("", "a")]), "b, a");
        assert_eq!(said(&[("3.11", ""), ("3.12", "")]), "3.11, 3.12");
        assert_eq!(said(&[("3.11", "a"), ("3.12", "a")]), "3.11, 3.12: a");
        let all = [("3.11", "a"), ("3.11", "b"), ("3.12", "a"), ("3.12", "b")];
        assert_eq!(said(&all), "3.11, 3.12: a, b");
        assert_eq!(said(&all[..3]), "3.11: a, b; 3.12: a");
    }

    fn failure(what: &str, reason: &str, help: &str) -> Failure {
        Failure {
            failed: Failed {
                interpreter: None,
                what: Some(what.to_owned()),
            },
            alone: format!("{what}: {reason}"),
            reason: reason.to_owned(),
            help: Some(help.to_owned()),
        }
    }

    #[test]
    fn what_has_another_reason_or_remedy_is_told_apart() {
        let all = [
            failure("a", "no", "try"),
            failure("b", "never", "try"),
            failure("c", "no", "rest"),
            failure("d", "no", "try"),
        ];
        let told = messages(all).into_iter().map(|message| message.text);
        assert_eq!(told.collect::<Vec<_>>(), ["a, d: no", "b: never", "c: no"]);
    }

    #[test]
    fn marks_below_a_line_make_no_other_traceback() {
        let all = [
            failure("a", "no\n\nline\n  ^^^^\nend", "try"),
            failure("b", "no\n\nline\nend", "try"),
            failure("c", "no\n\nline\n  ~~^~~\nother end", "try"),
        ];
        let [message] = &messages(all)[..] else {
            panic!("one reason");
        };
        let below = "\n\nline\n  ^^^^\nend\n\nline\n  ~~^~~\nother end";
        assert_eq!(message.text, format!("a, b, c: no{below}"));
        assert_eq!(message.line, "a, b, c: no");
    }

    #[test]
    fn names_of_many_have_room_in_a_terminal() {
        let all = (0..30).map(|number| failure(&format!("dataset_{number}"), "no", "try"));
        let [message] = &messages(all)[..] else {
            panic!("one reason");
        };
        let text = format!("error: {}", message.text);
        assert!(text.lines().count() > 1);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert_eq!(message.line.lines().count(), 1);
    }
}
