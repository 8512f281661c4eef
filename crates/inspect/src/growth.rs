//! How large the logs are and how fast they grow, read from their files beside a running writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::Log;
use model::Date;
use runtime::RuntimeError;

use crate::stats;

/// Bytes of these logs that a trading day adds: the mean over the days that are whole. `None` while there is
/// none: then [`pace`] tells.
pub fn bytes_per_day(logs: &[Arc<dyn Log>]) -> Option<u64> {
    let mut days: BTreeMap<i32, u64> = BTreeMap::new();
    for log in logs {
        let spans = log.spans().unwrap_or_default();
        for (at, span) in spans.iter().enumerate() {
            // One that was begun before the day was known belongs to its successor's.
            let day = match spans.get(at + 1) {
                Some(next) if span.day == Date::default() => next.day,
                _ => span.day,
            };
            *days.entry(day.days()).or_default() += span.bytes;
        }
    }
    // The newest is not over yet.
    days.pop_last();
    let whole = days.len() as u64;
    (whole > 0).then(|| days.values().sum::<u64>() / whole)
}

/// Bytes that a day would add around the clock at the pace of the logs' first day so far; `None` before they
/// hold a minute. It reads them whole.
pub fn pace(logs: &[Arc<dyn Log>]) -> Result<Option<u64>, RuntimeError> {
    let mut sum = None;
    for log in logs {
        let stats = stats::read(log.as_ref(), &|_| Date::default())?;
        if let Some(gigabytes) = stats::gb_per_day(&stats.days) {
            sum = Some(sum.unwrap_or(0) + (gigabytes * 1e9) as u64);
        }
    }
    Ok(sum)
}
