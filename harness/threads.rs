//! Work done side by side in threads.
//!
//! A limit on processes (`ulimit -u`, a container's) forbids threads too. Where none can be made,
//! the calling thread does the work by itself: later, not less of it.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, Builder, ScopedJoinHandle};

/// Processors that this process may use.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Does `work` with each item, with at most `most` of them at once, and keeps the order. The
/// calling thread is one of those that work.
pub fn each<T: Send, U: Send>(items: Vec<T>, most: usize, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    each_in(Builder::new, items, most, work)
}

/// [`each`], with threads of one's own kind.
fn each_in<T: Send, U: Send>(
    thread: impl Fn() -> Builder,
    items: Vec<T>,
    most: usize,
    work: impl Fn(T) -> U + Sync,
) -> Vec<U> {
    let others = most.min(items.len()).saturating_sub(1);
    let queue = Queue::new(items);
    let do_some = || queue.work_off(&work);
    let done = thread::scope(|scope| {
        let others = spawn(others, || thread().spawn_scoped(scope, do_some));
        let mut done = do_some();
        done.extend(others.into_iter().flat_map(joined));
        done
    });
    in_order(done)
}

/// Does `work` with each item as [`each`] does. What the work tells meanwhile is heard in the
/// calling thread, which only listens: `hear` may hold what no other thread may touch.
pub fn each_telling<T: Send, U: Send, M: Send>(
    items: Vec<T>,
    most: usize,
    work: impl Fn(T, &dyn Fn(M)) -> U + Sync,
    hear: &mut dyn FnMut(M),
) -> Vec<U> {
    each_telling_in(Builder::new, items, most, work, hear)
}

fn each_telling_in<T: Send, U: Send, M: Send>(
    thread: impl Fn() -> Builder,
    items: Vec<T>,
    most: usize,
    work: impl Fn(T, &dyn Fn(M)) -> U + Sync,
    hear: &mut dyn FnMut(M),
) -> Vec<U> {
    let threads = most.min(items.len());
    let queue = Queue::new(items);
    let (sender, receiver) = mpsc::channel();
    let done = thread::scope(|scope| {
        let workers = spawn(threads, || {
            let sender = sender.clone();
            let (queue, work) = (&queue, &work);
            thread().spawn_scoped(scope, move || {
                // The other end is there until every sender is gone.
                let tell = |message| drop(sender.send(message));
                queue.work_off(|item| work(item, &tell))
            })
        });
        drop(sender);
        for message in receiver {
            hear(message);
        }
        let mut done: Vec<_> = workers.into_iter().flat_map(joined).collect();
        // Nothing is left of it, unless no thread could be made.
        let hear = std::cell::RefCell::new(hear);
        done.extend(queue.work_off(|item| work(item, &|message| (hear.borrow_mut())(message))));
        done
    });
    in_order(done)
}

/// Does two things at once and gives both results.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    both_in(Builder::new(), one, other)
}

fn both_in<A: Send, B>(
    thread: Builder,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    // A thread that cannot be made would take along what it was to do.
    let one = Mutex::new(Some(one));
    let take = || {
        let one = one.lock().unwrap_or_else(PoisonError::into_inner).take();
        one.expect("taken once: by the thread, or where there is none")()
    };
    thread::scope(|scope| match thread.spawn_scoped(scope, take) {
        Ok(thread) => {
            let other = other();
            (joined(thread), other)
        }
        Err(_) => (take(), other()),
    })
}

/// What is still to be done, with its place among the results.
struct Queue<T>(Mutex<std::iter::Enumerate<std::vec::IntoIter<T>>>);

impl<T> Queue<T> {
    fn new(items: Vec<T>) -> Self {
        Self(Mutex::new(items.into_iter().enumerate()))
    }

    fn work_off<U>(&self, work: impl Fn(T) -> U) -> Vec<(usize, U)> {
        let next = || {
            let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            items.next()
        };
        std::iter::from_fn(next)
            .map(|(index, item)| (index, work(item)))
            .collect()
    }
}

/// As many of `count` threads as can be made.
fn spawn<H>(count: usize, make: impl Fn() -> std::io::Result<H>) -> Vec<H> {
    std::iter::repeat_with(make)
        .take(count)
        .map_while(Result::ok)
        .collect()
}

fn in_order<U>(mut done: Vec<(usize, U)>) -> Vec<U> {
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread::ThreadId;

    /// A stack of 64 TiB: more than the kernel has room for, which is how a thread cannot be made
    /// for root as well.
    fn impossible() -> Builder {
        Builder::new().stack_size(1 << 46)
    }

    fn me() -> ThreadId {
        thread::current().id()
    }

    #[test]
    fn results_come_in_order_from_several_threads() {
        // Nobody passes before all three are there.
        let barrier = Barrier::new(3);
        let done = each(vec![3, 1, 2], 3, |item| {
            barrier.wait();
            (item * 10, me())
        });
        let values: Vec<_> = done.iter().map(|(value, _)| *value).collect();
        assert_eq!(values, [30, 10, 20]);
        let threads: HashSet<_> = done.iter().map(|(_, thread)| *thread).collect();
        assert_eq!(threads.len(), 3);
        assert!(threads.contains(&me()));
    }

    #[test]
    fn no_more_are_at_work_than_wanted() {
        let threads: HashSet<_> = each((0..100).collect(), 2, |_: i32| me())
            .into_iter()
            .collect();
        assert!(threads.len() <= 2);
        assert!(each(Vec::new(), 0, |nothing: i32| nothing).is_empty());
        assert_eq!(each(vec![1], 0, |one| (one, me())), [(1, me())]);
    }

    #[test]
    fn without_threads_the_caller_does_it_all() {
        assert!(thread::scope(|scope| impossible()
            .spawn_scoped(scope, || ())
            .is_err()));
        let done = each_in(impossible, vec![1, 2, 3], 3, |item| (item, me()));
        assert_eq!(done, [(1, me()), (2, me()), (3, me())]);
        assert_eq!(both_in(impossible(), me, me), (me(), me()));
        let mut heard = Vec::new();
        let done = each_telling_in(
            impossible,
            vec![1, 2],
            2,
            |item, tell: &dyn Fn(i32)| {
                tell(item);
                (item, me())
            },
            &mut |message| heard.push(message),
        );
        assert_eq!(done, [(1, me()), (2, me())]);
        assert_eq!(heard, [1, 2]);
    }

    #[test]
    fn what_is_told_is_heard_while_the_work_goes_on() {
        let (sender, receiver) = mpsc::channel();
        let receiver = Mutex::new(receiver);
        let mut heard = 0;
        let done = each_telling(
            vec!["a", "b"],
            2,
            |item: &str, tell: &dyn Fn(String)| {
                tell(item.to_owned());
                // Goes on when the caller has heard it, and not before.
                receiver.lock().unwrap().recv().unwrap();
                (item, me())
            },
            &mut |_| {
                heard += 1;
                sender.send(()).unwrap();
            },
        );
        assert_eq!(heard, 2);
        assert_eq!(done.iter().map(|one| one.0).collect::<String>(), "ab");
        assert!(done.iter().all(|(_, thread)| *thread != me()));
    }

    #[test]
    fn both_are_done_at_once() {
        let barrier = Barrier::new(2);
        let meet = || {
            barrier.wait();
            me()
        };
        let (one, other) = both(meet, meet);
        assert_ne!(one, me());
        assert_eq!(other, me());
    }

    #[test]
    #[should_panic(expected = "of the work")]
    fn a_panic_in_a_thread_is_the_callers() {
        let barrier = Barrier::new(2);
        let caller = me();
        each(vec![1, 2], 2, |_| {
            barrier.wait();
            assert_eq!(me(), caller, "of the work");
        });
    }
}
