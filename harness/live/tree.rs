//! Who forked whom among the members of a family that live.

use super::family::{Family, Member};

/// The members of a family, parents before their children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyTree {
    /// At least one.
    pub members: Vec<Member>,
    /// For each, the places of those from which it was forked in turn, its parent first. Where one of them has ended or was never a
    /// member, the rest is not known, and is not here.
    pub ancestors: Vec<Vec<usize>>,
}

impl FamilyTree {
    /// Of a family, the children of one parent in the order of their starts.
    pub fn of(family: Family) -> Self {
        let mut left = family.members;
        let mut members: Vec<Member> = Vec::with_capacity(left.len());
        let mut ancestors: Vec<Vec<usize>> = Vec::with_capacity(left.len());
        while !left.is_empty() {
            // The next child of the last one, or of the nearest ancestor that has one; then another one without a parent here.
            let last = members.len().checked_sub(1);
            let line = last
                .into_iter()
                .chain(last.into_iter().flat_map(|last| ancestors[last].clone()));
            let next = line.into_iter().find_map(|place| {
                let child = left.iter().position(|one| is_child(one, &members[place]))?;
                Some((child, Some(place)))
            });
            let (child, parent) = next.unwrap_or_else(|| {
                let is_top = |one: &Member| !left.iter().any(|other| is_child(one, other));
                (left.iter().position(is_top).unwrap_or(0), None)
            });
            members.push(left.remove(child));
            ancestors.push(parent.map_or_else(Vec::new, |parent| {
                std::iter::once(parent)
                    .chain(ancestors[parent].iter().copied())
                    .collect()
            }));
        }
        Self { members, ancestors }
    }

    /// How many ancestors a member has here.
    pub fn depth(&self, member: usize) -> usize {
        self.ancestors[member].len()
    }

    /// Whether one was forked from the other, directly or in turn.
    pub fn descends(&self, member: usize, from: usize) -> bool {
        self.ancestors[member].contains(&from)
    }

    /// Whether one was started before the other.
    pub fn is_older(&self, member: usize, than: usize) -> bool {
        let key = |place: usize| (self.members[place].started, self.members[place].pid);
        key(member) < key(than)
    }
}

/// A number may have been another process's before: a parent is not younger than its child.
fn is_child(one: &Member, of: &Member) -> bool {
    one.pid != of.pid && one.parent == of.pid && of.started <= one.started
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tree of processes, each with its number and its parent's, in the order of their starts.
    pub(in crate::live) fn tree(members: &[(i32, i32)]) -> FamilyTree {
        let members = members
            .iter()
            .zip(1..)
            .map(|((pid, parent), started)| Member {
                pid: *pid,
                parent: *parent,
                started,
                name: "python3".into(),
                command: Vec::new(),
            });
        FamilyTree::of(Family {
            members: members.collect(),
        })
    }

    #[test]
    fn children_stand_below_their_parents_in_the_order_of_their_starts() {
        // A zygote (2) with two generations, a worker (3), and one whose parent has ended (9).
        let tree = tree(&[(1, 0), (2, 1), (3, 1), (4, 2), (9, 8), (5, 4)]);
        let pids: Vec<i32> = tree.members.iter().map(|member| member.pid).collect();
        assert_eq!(pids, [1, 2, 4, 5, 3, 9]);
        let depths: Vec<usize> = (0..6).map(|place| tree.depth(place)).collect();
        assert_eq!(depths, [0, 1, 2, 3, 1, 0]);
        assert_eq!(tree.ancestors[3], [2, 1, 0]);
        assert!(tree.descends(3, 1) && !tree.descends(3, 4));
        assert!(tree.is_older(4, 2) && !tree.is_older(2, 4));
    }

    #[test]
    fn a_number_that_was_used_again_is_no_parent() {
        let tree = tree(&[(4, 7), (7, 4)]);
        assert_eq!(tree.ancestors, [vec![], vec![0]]);
    }
}
