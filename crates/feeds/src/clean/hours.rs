//! The session rule, and the times of bars within the session.

use model::Timestamp;
use model::instrument::Instrument;
use model::market::{BarStamp, Timeframe};
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions};
use model::time::DAY;

use crate::report::Reject;

/// The hours of one instrument. The calendar is asked once per window, not per row.
pub struct Hours<'a> {
    rule: Option<(&'a dyn Sessions, SessionGroup)>,
    open: Option<SessionWindow>,
    /// Known to be closed, half-open; with the next open.
    closed: (Timestamp, Timestamp),
}

impl<'a> Hours<'a> {
    /// Of an instrument; without a calendar every hour is good.
    pub fn new(sessions: Option<&'a dyn Sessions>, instrument: &Instrument) -> Self {
        let rule = sessions.map(|sessions| (sessions, sessions.group(instrument)));
        Self {
            rule,
            open: None,
            closed: (Timestamp(0), Timestamp(0)),
        }
    }

    fn status(&mut self, ts: Timestamp) -> Option<SessionStatus> {
        let (sessions, group) = self.rule?;
        if let Some(window) = self
            .open
            .filter(|window| (window.open..window.close).contains(&ts))
        {
            return Some(SessionStatus::Open(window));
        }
        if (self.closed.0..self.closed.1).contains(&ts) {
            return Some(SessionStatus::Closed {
                next_open: self.closed.1,
            });
        }
        let status = sessions.status(group, ts);
        match status {
            SessionStatus::Open(window) => self.open = Some(window),
            SessionStatus::Closed { next_open } => self.closed = (ts, next_open),
        }
        Some(status)
    }

    /// True when a tick of this instant belongs to the session.
    #[inline]
    pub fn admit(&mut self, ts: Timestamp) -> bool {
        !matches!(self.status(ts), Some(SessionStatus::Closed { .. }))
    }

    /// Whether no session begins on a trading day.
    pub fn is_closed_day(&self, at: Timestamp) -> bool {
        let Some((sessions, group)) = self.rule else {
            return false;
        };
        let day = sessions.trading_day(at);
        match sessions.status(group, day.start) {
            SessionStatus::Open(_) => false,
            SessionStatus::Closed { next_open } => next_open >= day.end,
        }
    }

    /// Why what lies outside the session is refused: nobody may know whether it does.
    pub fn refused(&self, ts: Timestamp) -> Reject {
        match self.rule {
            Some((sessions, group)) if !sessions.is_known(group, ts) => Reject::UnknownSession,
            _ => Reject::OutsideSession,
        }
    }

    /// Open and close of the bar with this stamp; `None` when it lies outside the session. A session's
    /// last bar ends with the session, and a daily bar, usually stamped at midnight, spans it.
    pub fn bar(
        &mut self,
        stamp: Timestamp,
        kind: BarStamp,
        length: Timeframe,
    ) -> Option<(Timestamp, Timestamp)> {
        let length = length.nanos();
        let (open, close) = match kind {
            BarStamp::Open => (stamp, stamp.plus(length)),
            BarStamp::Close => (stamp.plus(-length), stamp),
        };
        if self.rule.is_none() {
            return Some((open, close));
        }
        // The instant of the bar that surely lies within its session.
        let inside = match kind {
            BarStamp::Open => stamp,
            BarStamp::Close => stamp.plus(-1),
        };
        match self.status(inside) {
            Some(SessionStatus::Open(window)) => Some(match kind {
                BarStamp::Open => (open, close.min(window.close)),
                BarStamp::Close if close == window.close => {
                    let bars = inside.since(window.open) / length;
                    (window.open.plus(bars * length), close)
                }
                BarStamp::Close => (open.max(window.open), close),
            }),
            _ if length == DAY => {
                let window = match self.status(open)? {
                    SessionStatus::Open(window) => window,
                    SessionStatus::Closed { next_open } if next_open < close => {
                        match self.status(next_open)? {
                            SessionStatus::Open(window) => window,
                            SessionStatus::Closed { .. } => return None,
                        }
                    }
                    SessionStatus::Closed { .. } => return None,
                };
                Some((window.open, window.close.min(close)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::session::TradingDay;
    use model::time::{HOUR, MINUTE};
    use model::{Currency, Date};

    /// 09:15 to 15:30 UTC every day.
    pub struct Daily;

    impl Sessions for Daily {
        fn groups(&self) -> usize {
            1
        }
        fn group(&self, _: &Instrument) -> SessionGroup {
            SessionGroup(0)
        }
        fn status(&self, _: SessionGroup, at: Timestamp) -> SessionStatus {
            let day = at.0.div_euclid(DAY) * DAY;
            let window = SessionWindow {
                open: Timestamp(day + 9 * HOUR + 15 * MINUTE),
                close: Timestamp(day + 15 * HOUR + 30 * MINUTE),
            };
            if at < window.open {
                SessionStatus::Closed {
                    next_open: window.open,
                }
            } else if at < window.close {
                SessionStatus::Open(window)
            } else {
                SessionStatus::Closed {
                    next_open: window.open.plus(DAY),
                }
            }
        }
        fn trading_day(&self, at: Timestamp) -> TradingDay {
            let date = Date::from_days(at.0.div_euclid(DAY) as i32);
            TradingDay {
                date,
                start: Timestamp(at.0.div_euclid(DAY) * DAY),
                end: Timestamp((at.0.div_euclid(DAY) + 1) * DAY),
            }
        }
    }

    fn at(hour: i64, minute: i64) -> Timestamp {
        Timestamp(100 * DAY + hour * HOUR + minute * MINUTE)
    }

    #[test]
    fn bars_lie_within_their_session() {
        let share = Instrument::share("NSE", "A", "INR".parse::<Currency>().unwrap());
        let mut hours = Hours::new(Some(&Daily), &share);
        let frame = |text| Timeframe::parse(text).unwrap();
        let mut bar = |stamp, kind, length| hours.bar(stamp, kind, frame(length));
        use BarStamp::{Close, Open};
        assert_eq!(bar(at(9, 15), Open, "30m"), Some((at(9, 15), at(9, 45))));
        assert_eq!(bar(at(15, 15), Open, "30m"), Some((at(15, 15), at(15, 30))));
        assert_eq!(bar(at(9, 45), Close, "30m"), Some((at(9, 15), at(9, 45))));
        assert_eq!(
            bar(at(15, 30), Close, "30m"),
            Some((at(15, 15), at(15, 30)))
        );
        assert_eq!(bar(at(15, 30), Open, "1m"), None);
        assert_eq!(bar(at(9, 15), Close, "1m"), None);
        assert_eq!(bar(at(0, 0), Open, "1d"), Some((at(9, 15), at(15, 30))));
        assert_eq!(bar(at(24, 0), Close, "1d"), Some((at(9, 15), at(15, 30))));
        assert!(!hours.is_closed_day(at(20, 0)));
        assert!(hours.admit(at(9, 15)) && !hours.admit(at(15, 30)) && !hours.admit(at(9, 14)));
    }
}
