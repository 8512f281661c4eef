//! The exchange of one process, shared by its feed and its traders.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{InstrumentIdx, Instruments, Price, Timestamp};

use crate::account::Report;
use crate::exchange::{AccountId, Exchange};
use crate::market::Quote;

/// A handle to it.
#[derive(Debug, Clone)]
pub struct SharedExchange(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    exchange: Mutex<Exchange>,
    said: Condvar,
}

impl SharedExchange {
    /// See [`Exchange::new`].
    pub fn new(seed: u64, changes_per_second: u32, instruments: &Instruments) -> Self {
        Self(Arc::new(Inner {
            exchange: Mutex::new(Exchange::new(seed, changes_per_second, instruments)),
            said: Condvar::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        let exchange = &self.0.exchange;
        exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the exchange; whoever waits for reports looks again.
    pub fn with<T>(&self, f: impl FnOnce(&mut Exchange) -> T) -> T {
        let result = f(&mut self.lock());
        self.0.said.notify_all();
        result
    }

    /// Goes on from the last known prices; see [`Market::resume`](crate::Market::resume).
    pub fn resume(&self, now: Timestamp, last: &[(InstrumentIdx, Price)]) {
        self.with(|exchange| exchange.resume(now, last));
    }

    /// Lets time pass up to and including `to`; what was to be seen is added to `out`.
    pub fn advance(&self, to: Timestamp, out: &mut Vec<Quote>) {
        self.with(|exchange| exchange.advance(to, out));
    }

    /// See [`Market::skip`](crate::Market::skip).
    pub fn skip(&self, to: Timestamp) {
        self.with(|exchange| exchange.skip(to));
    }

    /// Waits at most so long for reports of an account that are numbered above `after`, and adds up to
    /// `count` of them.
    pub fn wait_reports(
        &self,
        account: AccountId,
        after: u64,
        count: usize,
        wait: Duration,
        into: &mut Vec<Report>,
    ) {
        let none =
            |exchange: &mut Exchange| exchange.of(account).is_none_or(|a| a.numbered() <= after);
        let waited = self.0.said.wait_timeout_while(self.lock(), wait, none);
        let (exchange, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = exchange.of(account) {
            into.extend(account.unconfirmed(after).take(count).copied());
        }
    }
}
