//! A comparison as GitHub's annotations.

use super::changes::{part_change, transition};
use super::comparison::{JudgedRow, by_reason, parts, reason, run, short, total};
use refcow_model::{Comparison, Status};

/// Workflow commands, of which GitHub makes annotations: an error for each regression, a notice for
/// other changes.
///
/// Source: GitHub's documentation, "Workflow commands for GitHub Actions", "Setting an error
/// message".
pub fn github(comparison: &Comparison) -> Vec<u8> {
    let mut text = String::new();
    for runs in &comparison.compared {
        let version = &runs.new.version;
        for status in Status::ALL {
            let command = match status {
                Status::Regressed => "error",
                Status::Improved | Status::ChangedAsExpected => "notice",
                Status::NotComparable | Status::OnlyInBase => "warning",
                _ => continue,
            };
            let group: Vec<JudgedRow<'_>> = runs
                .judged()
                .filter(|(row, _)| row.status == status)
                .collect();
            let mut messages = Vec::new();
            if status.is_change() {
                messages.extend(group.iter().map(|(row, explaining)| {
                    let mut words = vec![transition(row.base.as_ref(), row.new.as_ref())];
                    words.extend(parts(explaining).map(part_change));
                    words.extend(reason(row));
                    format!("{}: {}", row.key, words.join("; "))
                }));
            } else {
                for (because, rows) in by_reason(&group) {
                    let what: Vec<String> = rows.into_iter().map(short).collect();
                    let what = what.join("; ");
                    messages.push(match because {
                        Some(because) => format!("{because}: {what}"),
                        None => what,
                    });
                }
            }
            for message in messages {
                let message = format!("CPython {version}: {message}");
                text += &annotation(command, &format!("refcow: {status}"), &message);
            }
        }
    }
    for name in &comparison.only_in_base {
        let message = format!("{} is only in the base", run(name));
        text += &annotation("warning", "refcow: only in base", &message);
    }
    text += &format!("{}\n", total(comparison));
    text.into_bytes()
}

pub(crate) fn annotation(command: &str, title: &str, message: &str) -> String {
    format!("::{command} title={}::{}\n", property(title), data(message))
}

/// What would end a message is written as the runner's own toolkit writes it.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_begin_a_command_of_its_own() {
        let text = annotation("error", "a: b, c", "100 %\n::warning::x\r");
        assert_eq!(
            text,
            "::error title=a%3A b%2C c::100 %25%0A::warning::x%0D\n"
        );
    }
}
