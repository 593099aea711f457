//! What to say of a child that waits for a lock when its time is up.

use crate::model::printable;
use crate::observe::Locked;

/// So many threads are named.
const MOST_NAMES: usize = 5;

/// Why it has not ended, and what to do. `others` are the threads that the parent had at the fork
/// besides the one that forked.
pub fn told(locked: Locked, others: &[String]) -> (String, String) {
    let alone = locked.threads == 1;
    let waits = match alone {
        true => "it waits for a lock",
        false => "each of its threads waits for a lock",
    };
    let parent = match others {
        [] => "The parent had no other thread at the fork".to_owned(),
        [one] => format!("At the fork the parent had another thread, {}", name(one)),
        several => format!("At the fork the parent had {}", names(several)),
    };
    let copied = "fork copies only the thread that forks";
    match (locked.for_ever, others) {
        (Some(true), []) => (
            format!("{waits}, and no thread is left in it to release one. {parent}"),
            "a longer limit does not help: either the parent held the lock when it forked (release it in build()), or the visit \
             takes it twice"
                .into(),
        ),
        (Some(true), _) => (
            format!(
                "{waits}, and no thread is left in it to release one. {parent}: {copied}, so a lock that another one held stays \
                 locked in the child for ever"
            ),
            "a longer limit does not help: end these threads in build(), before the fork, or let the visit take no lock of theirs"
                .into(),
        ),
        (known, _) => {
            let whose = match known {
                Some(_) => ", with a limit of its own, or for one that another process may release",
                None => "",
            };
            let but = match others {
                [] => String::new(),
                _ => format!(": {copied}, so a lock that another one held stays locked in the child for ever"),
            };
            (
                format!("{waits}{whose}. {parent}{but}"),
                "a longer limit (--timeout) helps only if somebody is left to release the lock".into(),
            )
        }
    }
}

fn name(name: &str) -> String {
    format!("`{}`", printable(name))
}

fn names(all: &[String]) -> String {
    let shown: Vec<_> = all.iter().take(MOST_NAMES).map(|one| name(one)).collect();
    let more = match all.len().checked_sub(MOST_NAMES) {
        Some(more) if more > 0 => format!(" and {more} more"),
        _ => String::new(),
    };
    format!("{} other threads, {}{more}", all.len(), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(for_ever: Option<bool>, others: &[&str]) -> (String, String) {
        let others: Vec<_> = others.iter().map(|one| (*one).to_owned()).collect();
        told(
            Locked {
                threads: 1,
                for_ever,
            },
            &others,
        )
    }

    #[test]
    fn only_what_nobody_can_release_is_said_to_be_for_ever() {
        let (why, help) = told_of(Some(true), &["pool-1"]);
        assert!(
            why.contains("another thread, `pool-1`: fork copies"),
            "{why}"
        );
        assert!(help.contains("does not help"), "{help}");
        let (_, help) = told_of(Some(true), &[]);
        assert!(help.contains("does not help"), "{help}");
        for unsure in [Some(false), None] {
            let (why, help) = told_of(unsure, &[]);
            assert!(!why.contains("no thread is left"), "{why}");
            assert!(help.contains("helps only if"), "{help}");
        }
    }

    #[test]
    fn of_many_threads_some_are_named() {
        let all: Vec<_> = (0..7).map(|number| format!("t{number}")).collect();
        assert_eq!(
            names(&all),
            "7 other threads, `t0`, `t1`, `t2`, `t3`, `t4` and 2 more"
        );
    }
}
