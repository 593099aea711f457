//! Processes whose parent had ended before anybody looked.

use super::*;

#[test]
fn who_was_forked_from_one_that_is_not_there_copies_what_it_shares_with_the_others() {
    let (mut recording, frames) = parent();
    frames
        .borrow_mut()
        .extend((1..10).map(|page| ((2, page), page)));
    let sibling = Fake(2, Rc::clone(&frames));
    recording.add(member(2, 0), sibling, had((1..10).collect()));
    assert_eq!(
        touch(&mut recording, &frames, 1, 5, 105),
        Some(Deed::Copied)
    );
    // The other one has it alone now.
    assert_eq!(touch(&mut recording, &frames, 2, 5, 5), None);
    fork(&mut recording, &frames, 2, 3);
    assert_eq!(
        touch(&mut recording, &frames, 2, 5, 205),
        Some(Deed::Rewrote)
    );
}
