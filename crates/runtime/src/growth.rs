//! How large the logs are and how fast they grow, read from their files beside a running writer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use journal::Storage;
use model::Date;

/// Bytes of these logs that a trading day adds: the mean over the days that are whole, else what the one
/// day has so far. Zero where there is none.
pub fn bytes_per_day(storage: &dyn Storage, logs: &[PathBuf]) -> u64 {
    let mut days: BTreeMap<i32, u64> = BTreeMap::new();
    for dir in logs {
        let segments = journal::segments(storage, dir).unwrap_or_default();
        for (at, segment) in segments.iter().enumerate() {
            // One that was begun before the day was known belongs to its successor's.
            let day = match segments.get(at + 1) {
                Some(next) if segment.day == Date::default() => next.day,
                _ => segment.day,
            };
            *days.entry(day.days()).or_default() += segment.end.0.saturating_sub(segment.base.0);
        }
    }
    // The newest is not over yet.
    let newest = days.keys().next_back().copied();
    let whole: Vec<u64> = days
        .iter()
        .filter(|(day, _)| days.len() == 1 || Some(**day) != newest)
        .map(|(_, bytes)| *bytes)
        .collect();
    whole.iter().sum::<u64>() / (whole.len() as u64).max(1)
}
