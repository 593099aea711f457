//! Whether page faults of a process can be recorded one by one.

use crate::observe::{Permission, Unavailable, try_recording};

use super::finding::{Availability, Finding};

/// Tries it, as it would be done to a child.
pub(super) fn finding() -> Finding {
    describe(try_recording(), Permission::of_this_process())
}

fn describe(tried: Result<(), Unavailable>, permission: Permission) -> Finding {
    let name = "page-fault events";
    let level = permission.level();
    match tried {
        Ok(()) if permission.level_is_high() => {
            Finding::good(name, format!("recorded, by privilege ({level})"))
        }
        Ok(()) => Finding::good(name, format!("recorded ({level})")),
        Err(Unavailable { reason, remedy }) => Finding::less(
            name,
            Availability::Unavailable,
            reason,
            "the causes of copies (who wrote first); the counts stay",
            &remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_costs_the_causes_alone_and_keeps_its_remedy() {
        let refused = Unavailable {
            reason: "because".to_owned(),
            remedy: "try this".to_owned(),
        };
        let finding = describe(Err(refused), Permission::of_this_process());
        assert_eq!(finding.state, Availability::Unavailable);
        assert_eq!(finding.found, "because");
        assert!(finding.lost.unwrap().contains("the counts stay"));
        assert_eq!(finding.remedy.as_deref(), Some("try this"));
    }

    #[test]
    fn a_high_level_passed_by_privilege_is_told() {
        let found = |level| {
            let permission = Permission {
                paranoid: Some(level),
                privileged: None,
                seccomp: None,
            };
            describe(Ok(()), permission).found
        };
        assert_eq!(found(4), "recorded, by privilege (perf_event_paranoid 4)");
        assert_eq!(found(2), "recorded (perf_event_paranoid 2)");
    }
}
