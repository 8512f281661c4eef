//! Files are cleaned on several threads and taken in their order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::DataError;

/// Results that may wait for their turn: more would hold more files in memory.
const LEAD: usize = 8;
const WORKERS_MAX: usize = 8;

struct State<T> {
    next: usize,
    taken: usize,
    stop: bool,
    ready: BTreeMap<usize, std::thread::Result<Result<T, DataError>>>,
}

/// Makes `count` things on several threads and hands them to `take` in order, on this thread. The
/// first error in that order ends it.
pub(crate) fn in_order<T: Send>(
    count: usize,
    make: impl Fn(usize) -> Result<T, DataError> + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let state = Mutex::new(State {
        next: 0,
        taken: 0,
        stop: false,
        ready: BTreeMap::new(),
    });
    let changed = Condvar::new();
    let lock =
        || -> MutexGuard<'_, State<T>> { state.lock().unwrap_or_else(PoisonError::into_inner) };
    let wait = |guard| changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
    let workers = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(WORKERS_MAX)
        .min(count);
    let work = || {
        loop {
            let mut guard = lock();
            while !guard.stop && guard.next < count && guard.next >= guard.taken + LEAD {
                guard = wait(guard);
            }
            if guard.stop || guard.next >= count {
                return;
            }
            let at = guard.next;
            guard.next += 1;
            drop(guard);
            let made = catch_unwind(AssertUnwindSafe(|| make(at)));
            lock().ready.insert(at, made);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
        for at in 0..count {
            let mut guard = lock();
            let made = loop {
                match guard.ready.remove(&at) {
                    Some(made) => break made,
                    None => guard = wait(guard),
                }
            };
            guard.taken = at + 1;
            drop(guard);
            changed.notify_all();
            let stop = || {
                lock().stop = true;
                changed.notify_all();
            };
            let outcome = match made {
                Ok(made) => made.and_then(|made| take(at, made)),
                Err(panic) => {
                    stop();
                    resume_unwind(panic)
                }
            };
            if outcome.is_err() {
                stop();
                return outcome;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_it() {
        let mut seen = Vec::new();
        let done = in_order(
            100,
            |n| Ok(n * n),
            |n, square| {
                seen.push((n, square));
                Ok(())
            },
        );
        assert!(done.is_ok());
        assert!(
            seen.iter()
                .enumerate()
                .all(|(i, (n, square))| i == *n && *square == n * n)
        );
        let fail = |n: usize| match n {
            7 | 9 => Err(DataError::setting(n.to_string(), "")),
            _ => Ok(n),
        };
        let mut last = 0;
        let error = in_order(100, fail, |n, _| {
            last = n;
            Ok(())
        });
        assert!(error.unwrap_err().to_string().starts_with('7'));
        assert_eq!(last, 6);
    }
}
