//! Processes that are no members any more, or never were: what they do on, and what of them is remembered.

use super::*;

fn happens(recording: &mut Recording<Machine>, process: i32, what: Happened) {
    recording.take(&Incident {
        time: 0,
        process,
        what,
    });
}

#[test]
fn what_executes_a_program_counts_no_more_nor_does_what_that_forks_and_none_of_it_is_lost() {
    let (mut recording, frames) = parent();
    fork(&mut recording, &frames, 1, 2);
    let name = TaskName::new(b"true\0");
    happens(&mut recording, 2, Happened::Executed(name));
    happens(&mut recording, 2, Happened::Forked { new: 3 });
    for pid in [2, 3] {
        assert_eq!(touch(&mut recording, &frames, pid, 3, 103), None);
    }
    assert!(recording.members[1].executed);
    assert_eq!((recording.members.len(), recording.lost), (2, 0));
    // The kernel gives numbers anew.
    fork(&mut recording, &frames, 1, 3);
    let copied = touch(&mut recording, &frames, 3, 3, 203);
    assert_eq!(copied, Some(Deed::Copied));
}

#[test]
fn faults_of_a_process_whose_fork_left_no_record_are_lost_and_not_forgotten() {
    let (mut recording, frames) = parent();
    assert_eq!(touch(&mut recording, &frames, 7, 3, 103), None);
    happens(&mut recording, 7, Happened::Ended);
    assert_eq!(recording.lost, 1);
}

#[test]
fn what_another_thread_does_when_the_first_one_has_ended_is_counted_as_unknown() {
    let (mut recording, frames) = parent();
    fork(&mut recording, &frames, 1, 2);
    happens(&mut recording, 2, Happened::Ended);
    let deed = touch(&mut recording, &frames, 2, 3, 103);
    assert_eq!(deed, Some(Deed::Unknown));
    assert_eq!(recording.members[1].number(Deed::Unknown), 1);
    assert_eq!(recording.lost, 0);
}

#[test]
fn of_what_has_ended_only_what_somebody_has_from_it_is_remembered() {
    let (mut recording, frames) = parent();
    let mut frame = 100;
    let mut write = |recording: &mut _, pid, page| {
        frame += 1;
        touch(recording, &frames, pid, page, frame)
    };
    // One that stays, of another that ends; and a hundred that come and go.
    fork(&mut recording, &frames, 1, 2);
    fork(&mut recording, &frames, 2, 3);
    happens(&mut recording, 2, Happened::Ended);
    for pid in 10..110 {
        fork(&mut recording, &frames, 1, pid);
        for page in 1..10 {
            let deed = write(&mut recording, 1, page);
            assert_eq!(deed, Some(Deed::Rewrote), "{pid} {page}");
        }
        write(&mut recording, pid, 5);
        happens(&mut recording, pid, Happened::Ended);
    }
    let parent = &recording.members[0];
    assert_eq!(parent.heirs.len(), 1);
    let remembered: usize = parent.earlier.values().map(Vec::len).sum();
    assert!(remembered <= 9, "{:?}", parent.earlier);
    let ended = &recording.members[3..];
    assert!(ended.iter().all(|one| one.seen.is_empty()));
    // What the one that stays has it shares with nobody: the parent has written all.
    assert_eq!(write(&mut recording, 3, 5), None);
    happens(&mut recording, 3, Happened::Ended);
    let members = recording.members.iter();
    assert_eq!(
        members
            .map(|one| one.earlier.len() + one.heirs.len())
            .sum::<usize>(),
        0
    );
}
