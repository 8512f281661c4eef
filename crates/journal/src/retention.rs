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

/// How many spans, from the oldest, may go. The spans of one day go together: only the first of them begins with
/// the names behind the indices in all of them. The day that is written to stays.
pub fn surplus(spans: &[Span], floor: Offset, today: Date, keep: &Retention) -> usize {
    let mut bytes: u64 = spans.iter().map(|s| s.bytes).sum();
    let mut count = 0;
    let is_known = |day: Date| day != Date::default();
    let mut days = spans
        .chunk_by(|a, b| a.day == b.day && is_known(a.day))
        .peekable();
    while let (Some([first, rest @ ..]), Some([next, ..])) = (days.next(), days.peek()) {
        // One that was begun before the day was known is as old as its successor.
        let day = if is_known(first.day) {
            first.day
        } else {
            next.day
        };
        let age = i64::from(today.days()) - i64::from(day.days());
        let old = keep.days.is_some_and(|days| age > i64::from(days));
        let much = keep.bytes.is_some_and(|most| bytes > most);
        // A span ends where the next begins.
        if next.first > floor || !(old || much) {
            break;
        }
        bytes -= first.bytes + rest.iter().map(|span| span.bytes).sum::<u64>();
        count += 1 + rest.len();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans of 100 bytes on these days.
    fn spans(days: &[i32]) -> Vec<Span> {
        let at = |n: usize| Offset(100 * n as u64);
        let all = days.iter().enumerate();
        all.map(|(n, day)| Span {
            first: at(n),
            end: at(n + 1),
            day: Date::from_days(*day),
            bytes: 100,
        })
        .collect()
    }

    fn gone(days: &[i32], floor: u64, keep: (Option<u32>, Option<u64>)) -> usize {
        let (days_kept, bytes) = keep;
        let keep = Retention {
            days: days_kept,
            bytes,
        };
        surplus(&spans(days), Offset(floor), Date::from_days(103), &keep)
    }

    #[test]
    fn whole_days_go_by_age_or_by_bytes_whichever_is_less() {
        let days = [100, 100, 101, 102, 102, 103];
        for (keep, wanted) in [
            ((None, None), 0),
            ((None, Some(600)), 0),
            ((Some(2), None), 2),
            ((Some(2), Some(600)), 2),
            // One byte too much takes a day, and what is left may be less than is kept.
            ((None, Some(599)), 2),
            ((Some(2), Some(399)), 3),
            ((Some(1), Some(400)), 3),
            // Today stays, however large.
            ((Some(0), Some(0)), 5),
        ] {
            assert_eq!(gone(&days, 600, keep), wanted, "{keep:?}");
        }
        assert_eq!(gone(&[103, 103, 103], 600, (Some(0), Some(0))), 0);
        // A log without days gives up spans one by one.
        assert_eq!(gone(&[0, 0, 0], 600, (None, Some(200))), 1);
    }

    #[test]
    fn no_day_goes_that_reaches_the_floor() {
        let days = [100, 100, 101, 102, 102, 103];
        for (floor, wanted) in [(0, 0), (199, 0), (200, 2), (299, 2), (499, 3), (500, 5)] {
            assert_eq!(gone(&days, floor, (None, Some(0))), wanted, "{floor}");
        }
    }
}
