//! The usual statistics of a result, from daily closing equities and closed trades.
//!
//! Conventions, which are those of empyrical: simple daily returns, as many of them to the year as the
//! market traded has sessions ([`periods`]), risk-free rate 0, standard deviation of the sample (n − 1), downside deviation over all n days
//! with 0 as the least acceptable return. The first day's return is against the starting equity.
//! What cannot be computed (too few days, no variation, equity at or below zero) is `None`.
//! Statistics are estimates for people: they are floats, and nothing is accounted from them.

use model::instrument::Instrument;
use model::session::{SessionStatus, Sessions};
use model::time::HOUR;
use model::{Amount, Date, Timestamp};
use serde::{Deserialize, Serialize};

/// Sessions in a year of a market that closes at weekends and on holidays.
pub const PERIODS: u32 = 252;
/// Sessions in a year of a market that never closes.
pub const PERIODS_ALWAYS_OPEN: u32 = 365;
/// Sessions below which nothing is annualised: a quarter of a year's. A few days to the power of a
/// year say nothing.
pub const SESSIONS_MIN: u32 = 60;

/// Sessions in a year of the market of these instruments, by its hours in the week after `at`. One
/// that never closes gives every day of the year a closing equity.
pub fn periods<'a>(
    sessions: &dyn Sessions,
    traded: impl IntoIterator<Item = &'a Instrument>,
    at: Timestamp,
) -> u32 {
    let never_closes = |instrument: &Instrument| {
        let group = sessions.group(instrument);
        (0..7 * 24).all(|hour| {
            let status = sessions.status(group, at.plus(hour * HOUR));
            matches!(status, SessionStatus::Open(_))
        })
    };
    if traded.into_iter().any(never_closes) {
        PERIODS_ALWAYS_OPEN
    } else {
        PERIODS
    }
}

/// A day and its return.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayReturn {
    /// The trading day, `YYYY-MM-DD`.
    #[serde(with = "date_text")]
    pub date: Date,
    /// Its return as a fraction: 0.01 is one per cent.
    #[serde(rename = "return")]
    pub value: f64,
}

mod date_text {
    use model::Date;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(date)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let text = String::deserialize(deserializer)?;
        Date::parse(&text).ok_or_else(|| serde::de::Error::custom("not a date YYYY-MM-DD"))
    }
}

/// The statistics of one namespace in one currency. Fractions, not per cent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Trading days with a closing equity.
    pub days: u32,
    /// Sessions to the year, by the calendar of what was traded: `y` below.
    pub periods_per_year: u32,
    /// Why the annual figures are absent, where they are: from growth to Calmar.
    pub not_annualised: Option<String>,
    /// Last equity ÷ starting equity − 1.
    pub total_return: Option<f64>,
    /// Compound annual growth rate: (last ÷ start)^(y ÷ days) − 1.
    pub cagr: Option<f64>,
    /// Standard deviation of daily returns × √y.
    pub volatility: Option<f64>,
    /// Mean daily return ÷ standard deviation × √y.
    pub sharpe: Option<f64>,
    /// Mean daily return × y ÷ (downside deviation × √y).
    pub sortino: Option<f64>,
    /// Compound annual growth rate ÷ maximum drawdown.
    pub calmar: Option<f64>,
    /// Largest fall of a daily close from the highest before it, as a positive fraction of that.
    pub max_drawdown: Option<f64>,
    /// The same fall in the currency.
    pub max_drawdown_amount: Option<f64>,
    /// Trading days from the peak before the maximum drawdown to the close that regains it, or to
    /// the end.
    pub max_drawdown_days: Option<u32>,
    /// Trading days of the longest stretch below a peak.
    pub longest_drawdown_days: Option<u32>,
    /// The best day.
    pub best_day: Option<DayReturn>,
    /// The worst day.
    pub worst_day: Option<DayReturn>,
    /// Closed trades.
    pub trades: u64,
    /// Share of closed trades with a profit after charges.
    pub win_rate: Option<f64>,
    /// Sum of the winners' profits ÷ sum of the losers' losses, after charges.
    pub profit_factor: Option<f64>,
    /// Mean profit of a closed trade after charges, in the currency.
    pub expectancy: Option<f64>,
    /// Mean profit of the winners, in the currency.
    pub average_win: Option<f64>,
    /// Mean loss of the losers, negative, in the currency.
    pub average_loss: Option<f64>,
    /// Mean time from a trade's opening to its close, in seconds.
    pub average_held_seconds: Option<f64>,
    /// Share of the trading days on which a position was held.
    pub exposure: Option<f64>,
    /// Traded value ÷ mean closing equity, over the whole period.
    pub turnover: Option<f64>,
}

/// Exact sums over closed trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TradeTotals {
    /// Closed trades.
    pub closed: u64,
    /// Those with a profit after charges.
    pub wins: u64,
    /// Those with a loss after charges.
    pub losses: u64,
    /// Sum of the profits.
    pub profit: Amount,
    /// Sum of the losses, negative.
    pub loss: Amount,
    /// Sum of the times held, in nanoseconds.
    pub held: i128,
}

impl TradeTotals {
    /// Takes a closed trade's profit after charges and the time that it was held.
    pub fn add(&mut self, net: Amount, held: i64) -> Result<(), model::NumberError> {
        self.closed += 1;
        self.held = self.held.saturating_add(i128::from(held));
        if net > Amount::ZERO {
            self.wins += 1;
            self.profit = self.profit.checked_add(net)?;
        } else if net < Amount::ZERO {
            self.losses += 1;
            self.loss = self.loss.checked_add(net)?;
        }
        Ok(())
    }

    /// Adds another group of trades.
    pub fn merge(&mut self, other: &Self) -> Result<(), model::NumberError> {
        self.closed += other.closed;
        self.wins += other.wins;
        self.losses += other.losses;
        self.profit = self.profit.checked_add(other.profit)?;
        self.loss = self.loss.checked_add(other.loss)?;
        self.held = self.held.saturating_add(other.held);
        Ok(())
    }

    /// Share of winners.
    pub fn win_rate(&self) -> Option<f64> {
        ratio(self.wins as f64, self.closed as f64)
    }
    /// Profits ÷ losses.
    pub fn profit_factor(&self) -> Option<f64> {
        ratio(self.profit.to_f64(), -self.loss.to_f64())
    }
}

/// What trading took place beside the equity.
#[derive(Debug, Clone, Copy, Default)]
pub struct Activity {
    /// Closed trades.
    pub trades: TradeTotals,
    /// Sum of |price × quantity × multiplier| of all executions.
    pub traded_value: Amount,
    /// Trading days on which a position was held.
    pub days_held: u32,
}

fn ratio(a: f64, b: f64) -> Option<f64> {
    let quotient = a / b;
    (b > 0.0 && quotient.is_finite()).then_some(quotient)
}

/// The statistics of daily closing equities, in the order of their dates, with so many sessions to the
/// year.
pub fn statistics(
    start: Amount,
    closes: &[(Date, Amount)],
    activity: &Activity,
    periods_per_year: u32,
) -> Statistics {
    let TradeTotals {
        closed,
        wins,
        losses,
        profit,
        loss,
        held,
    } = activity.trades;
    let mut s = Statistics {
        days: closes.len() as u32,
        periods_per_year,
        trades: closed,
        win_rate: activity.trades.win_rate(),
        profit_factor: activity.trades.profit_factor(),
        expectancy: ratio(profit.to_f64() + loss.to_f64(), closed as f64),
        average_win: ratio(profit.to_f64(), wins as f64),
        average_loss: ratio(loss.to_f64(), losses as f64),
        average_held_seconds: ratio(held as f64 / 1e9, closed as f64),
        exposure: ratio(f64::from(activity.days_held), closes.len() as f64),
        ..Statistics::default()
    };
    if s.days < SESSIONS_MIN {
        let sessions = if s.days == 1 { "session" } else { "sessions" };
        s.not_annualised = Some(format!("{} {sessions}, fewer than {SESSIONS_MIN}", s.days));
    }
    let sum: f64 = closes.iter().map(|(_, equity)| equity.to_f64()).sum();
    s.turnover = ratio(activity.traded_value.to_f64(), sum / closes.len() as f64);
    let Some(returns) = daily_returns(start, closes) else {
        return s;
    };
    let by_value = |a: &&DayReturn, b: &&DayReturn| a.value.total_cmp(&b.value);
    s.best_day = returns.iter().max_by(by_value).copied();
    s.worst_day = returns.iter().min_by(by_value).copied();

    let values: Vec<f64> = returns.iter().map(|r| r.value).collect();
    ratios(&mut s, &values);
    drawdown(&mut s, start.to_f64(), closes);
    s.calmar = match (s.cagr, s.max_drawdown) {
        (Some(cagr), Some(fall)) => ratio(cagr, fall),
        _ => None,
    };
    s
}

/// Simple returns of the closes, the first against `start`; `None` where there are none or an
/// equity that something is divided by is not positive.
pub fn daily_returns(start: Amount, closes: &[(Date, Amount)]) -> Option<Vec<DayReturn>> {
    let mut before = start.to_f64();
    let mut returns = Vec::with_capacity(closes.len());
    for (date, equity) in closes {
        let equity = equity.to_f64();
        if before <= 0.0 {
            return None;
        }
        returns.push(DayReturn {
            date: *date,
            value: equity / before - 1.0,
        });
        before = equity;
    }
    (!returns.is_empty()).then_some(returns)
}

fn ratios(s: &mut Statistics, returns: &[f64]) {
    let n = returns.len() as f64;
    let finite = |value: f64| value.is_finite().then_some(value);
    let growth: f64 = returns.iter().map(|r| 1.0 + r).product();
    s.total_return = finite(growth - 1.0);
    if s.not_annualised.is_some() {
        return;
    }
    let year = f64::from(s.periods_per_year);
    if growth > 0.0 {
        s.cagr = finite(growth.powf(year / n) - 1.0);
    }
    let mean = returns.iter().sum::<f64>() / n;
    let largest = returns.iter().fold(0.0f64, |m, r| m.max(r.abs()));
    if returns.len() >= 2 {
        let squares: f64 = returns.iter().map(|r| (r - mean) * (r - mean)).sum();
        let deviation = (squares / (n - 1.0)).sqrt();
        s.volatility = finite(deviation * year.sqrt());
        // Equal returns differ in their last bits: what is left of them is not variation.
        if deviation > 1e-12 * largest {
            s.sharpe = ratio(mean * year.sqrt(), deviation);
        }
        let downside = (returns.iter().map(|r| r.min(0.0) * r.min(0.0)).sum::<f64>() / n).sqrt();
        s.sortino = ratio(mean * year.sqrt(), downside);
    }
}

fn drawdown(s: &mut Statistics, start: f64, closes: &[(Date, Amount)]) {
    let (mut peak, mut peak_day) = (start, 0u32);
    let (mut deepest, mut deepest_peak, mut amount) = (0.0f64, None, 0.0f64);
    let (mut deepest_length, mut longest) = (0u32, 0u32);
    for (day, (_, equity)) in (1u32..).zip(closes) {
        let equity = equity.to_f64();
        let length = day - peak_day;
        if equity < peak {
            longest = longest.max(length);
            let fall = 1.0 - equity / peak;
            if fall > deepest {
                (deepest, deepest_peak, amount) = (fall, Some(peak_day), peak - equity);
            }
        }
        if deepest_peak == Some(peak_day) {
            deepest_length = length;
        }
        if equity >= peak {
            // The day that regains the peak still belongs to the stretch below it.
            if length > 1 {
                longest = longest.max(length);
            }
            (peak, peak_day) = (equity, day);
        }
    }
    s.max_drawdown = Some(deepest);
    s.max_drawdown_amount = Some(amount);
    s.max_drawdown_days = Some(deepest_length);
    s.longest_drawdown_days = Some(longest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closes(values: &[i64]) -> Vec<(Date, Amount)> {
        (18_700..)
            .zip(values)
            .map(|(day, v)| (Date::from_days(day), Amount::from_int(*v)))
            .collect()
    }

    #[test]
    fn drawdowns_have_a_depth_and_a_length() {
        let days = closes(&[110, 99, 105, 110, 120, 114, 108, 112]);
        let s = statistics(Amount::from_int(100), &days, &Activity::default(), PERIODS);
        assert!((s.max_drawdown.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(
            s.max_drawdown_days,
            Some(3),
            "110 regained three days after its close"
        );
        assert_eq!(s.longest_drawdown_days, Some(3));
        assert_eq!(s.best_day.unwrap().date, days[0].0);
        assert_eq!(s.worst_day.unwrap().date, days[1].0);
        let s = statistics(
            Amount::from_int(100),
            &closes(&[90, 80, 95]),
            &Activity::default(),
            PERIODS,
        );
        assert_eq!(
            (s.max_drawdown_days, s.longest_drawdown_days),
            (Some(3), Some(3))
        );
    }

    #[test]
    fn degenerate_series_give_none_and_never_a_non_number() {
        let start = Amount::from_int(100);
        for (start, values) in [
            (start, vec![]),
            (start, vec![100]),
            (start, vec![100, 100, 100]),
            (start, vec![50, 0, 10]),
            (start, vec![50, -10, 10, -10]),
            (start, vec![-10]),
            (Amount::ZERO, vec![10, 20]),
            (Amount::from_int(-5), vec![10, 20]),
            (start, vec![i64::MAX, 1, i64::MAX]),
        ] {
            let s = statistics(start, &closes(&values), &Activity::default(), PERIODS);
            let json = serde_json::to_value(&s).unwrap();
            assert_eq!(
                serde_json::from_value::<Statistics>(json.clone()).unwrap(),
                s,
                "{json}"
            );
            assert_eq!(s.days as usize, values.len());
            assert_eq!(
                (s.win_rate, s.profit_factor, s.expectancy),
                (None, None, None)
            );
        }
        let one = statistics(start, &closes(&[100]), &Activity::default(), PERIODS);
        assert_eq!((one.sharpe, one.volatility, one.calmar), (None, None, None));
        let flat = statistics(
            start,
            &closes(&[101, 102, 103]),
            &Activity::default(),
            PERIODS,
        );
        assert_eq!(
            (flat.sortino, flat.calmar, flat.max_drawdown_days),
            (None, None, Some(0))
        );
        let steady: Vec<i64> = (1..20).map(|n| 1_000_000 * 2i64.pow(n)).collect();
        assert_eq!(
            statistics(
                Amount::from_int(1_000_000),
                &closes(&steady),
                &Activity::default(),
                PERIODS,
            )
            .sharpe,
            None
        );
    }

    #[test]
    fn annual_figures_follow_the_calendar_and_need_sixty_sessions() {
        let start = Amount::from_int(1_000);
        let values: Vec<i64> = (0..60).map(|n| 1_000 + 3 * n - 40 * (n % 2)).collect();
        let of = |days: usize, year| {
            statistics(start, &closes(&values[..days]), &Activity::default(), year)
        };
        let (few, enough, all_year) = (
            of(59, PERIODS),
            of(60, PERIODS),
            of(60, PERIODS_ALWAYS_OPEN),
        );
        let annual = |s: &Statistics| [s.cagr, s.volatility, s.sharpe, s.sortino, s.calmar];
        assert_eq!(annual(&few), [None; 5]);
        let reason = few.not_annualised.as_deref();
        assert_eq!(reason, Some("59 sessions, fewer than 60"));
        assert!(few.total_return.is_some() && few.max_drawdown.is_some());
        assert!(annual(&enough).iter().all(Option::is_some));
        assert_eq!(
            (enough.not_annualised.as_deref(), enough.periods_per_year),
            (None, 252)
        );
        let root = (365.0f64 / 252.0).sqrt();
        for (a, b) in [
            (enough.volatility, all_year.volatility),
            (enough.sharpe, all_year.sharpe),
        ] {
            assert!((b.unwrap() / a.unwrap() - root).abs() < 1e-12);
        }
        // The amount is that of the fall that the fraction is of.
        let fall = enough.max_drawdown_amount.unwrap() / enough.max_drawdown.unwrap();
        assert!((900.0..1_200.0).contains(&fall), "a peak: {fall}");
    }

    #[test]
    fn a_market_that_never_closes_has_a_year_of_365_sessions() {
        let share = Instrument::share("NSE", "A", "INR".parse().unwrap());
        let at = Timestamp(1_618_000_000_000_000_000);
        let always = model::session::AlwaysOpen;
        assert_eq!(periods(&always, [&share], at), PERIODS_ALWAYS_OPEN);
        assert_eq!(periods(&always, [], at), PERIODS, "nothing was traded");
    }

    #[test]
    fn trades_are_won_after_charges() {
        let mut trades = TradeTotals::default();
        for net in [30, -10, 0, 20, -15] {
            trades.add(Amount::from_int(net), 2_000_000_000).unwrap();
        }
        let activity = Activity {
            trades,
            traded_value: Amount::from_int(300),
            days_held: 1,
        };
        let s = statistics(
            Amount::from_int(100),
            &closes(&[90, 110]),
            &activity,
            PERIODS,
        );
        assert_eq!(s.win_rate, Some(0.4));
        assert_eq!(s.profit_factor, Some(2.0));
        assert_eq!(s.expectancy, Some(5.0));
        assert_eq!((s.average_win, s.average_loss), (Some(25.0), Some(-12.5)));
        assert_eq!(s.average_held_seconds, Some(2.0));
        assert_eq!((s.exposure, s.turnover), (Some(0.5), Some(3.0)));
    }
}
