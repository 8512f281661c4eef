//! How long a log is kept.

use model::Date;

use crate::log::Position;
use crate::segment::SegmentInfo;

/// What is kept; what is more may go, oldest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Trading days; `None` for all.
    pub days: Option<u32>,
    /// Bytes; `None` for any number.
    pub bytes: Option<u64>,
}

/// How many segments, from the oldest, may go.
pub fn surplus(segments: &[SegmentInfo], floor: Position, today: Date, keep: &Retention) -> usize {
    let mut bytes: u64 = segments.iter().map(|s| s.end.0 - s.base.0).sum();
    let mut count = 0;
    // The last one is written to.
    for pair in segments.windows(2) {
        let segment = &pair[0];
        // One that was begun before the day was known is as old as its successor.
        let day = if segment.day == Date::default() {
            pair[1].day
        } else {
            segment.day
        };
        let age = i64::from(today.days()) - i64::from(day.days());
        let old = keep.days.is_some_and(|days| age > i64::from(days));
        let much = keep.bytes.is_some_and(|most| bytes > most);
        if segment.end > floor || !(old || much) {
            break;
        }
        bytes -= segment.end.0 - segment.base.0;
        count += 1;
    }
    count
}
