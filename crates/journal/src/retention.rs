//! How long a log is kept.

use model::Date;

use crate::log::{Offset, Span};

/// What is kept; what is more may go, oldest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Trading days; `None` for all.
    pub days: Option<u32>,
    /// Bytes; `None` for any number.
    pub bytes: Option<u64>,
}

/// How many spans, from the oldest, may go.
pub fn surplus(spans: &[Span], floor: Offset, today: Date, keep: &Retention) -> usize {
    let mut bytes: u64 = spans.iter().map(|s| s.bytes).sum();
    let mut count = 0;
    // The last one is written to.
    for pair in spans.windows(2) {
        let span = &pair[0];
        // One that was begun before the day was known is as old as its successor.
        let day = if span.day == Date::default() {
            pair[1].day
        } else {
            span.day
        };
        let age = i64::from(today.days()) - i64::from(day.days());
        let old = keep.days.is_some_and(|days| age > i64::from(days));
        let much = keep.bytes.is_some_and(|most| bytes > most);
        if span.end > floor || !(old || much) {
            break;
        }
        bytes -= span.bytes;
        count += 1;
    }
    count
}
