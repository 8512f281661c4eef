//! The firing of timers, for whatever has some: the runner and a namespace, in a backtest and live.

use model::Timestamp;

/// Fires every timer of `machine` that is due at or before `ts`, in order, each at its due time. The end of time
/// means never, also to an input that is stamped with it.
pub fn fire_due<M, E>(
    machine: &mut M,
    ts: Timestamp,
    next_due: impl Fn(&M) -> Timestamp,
    mut fire: impl FnMut(&mut M, Timestamp) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let due = next_due(machine);
        if due > ts || due == Timestamp::MAX {
            return Ok(());
        }
        // Before the first input nothing has a time yet: what is due is due now.
        fire(machine, if due == Timestamp::MIN { ts } else { due })?;
    }
}
