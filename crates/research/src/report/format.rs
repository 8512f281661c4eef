//! Numbers and times as people read them. Money is rounded here for display only, by integers; the
//! exact text goes along with it.

use jiff::tz::TimeZone;
use model::money::MONEY_DECIMALS;
use model::{Amount, Price, Timestamp};

/// A minus sign that is as wide as a plus sign.
const MINUS: &str = "\u{2212}";

/// Grouped and rounded half away from zero to two decimals (eight where two would show nothing):
/// by thousands, and for rupees by thousand, lakh and crore.
pub fn money(amount: Amount, currency: &str) -> String {
    let two = round(amount.raw(), 2);
    if two == 0 && !amount.is_zero() {
        let small = decimal(round(amount.raw(), 8), 8, currency);
        return small.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    decimal(two, 2, currency)
}

fn round(raw: i128, decimals: u32) -> i128 {
    let unit = 10i128.pow(MONEY_DECIMALS - decimals);
    let (quotient, rest) = (raw / unit, raw % unit);
    quotient
        + if rest.abs() * 2 >= unit {
            raw.signum()
        } else {
            0
        }
}

fn decimal(value: i128, decimals: u32, currency: &str) -> String {
    let scale = 10u128.pow(decimals);
    let magnitude = value.unsigned_abs();
    let whole = (magnitude / scale).to_string();
    let fraction = format!("{:0width$}", magnitude % scale, width = decimals as usize);
    let sign = if value < 0 { MINUS } else { "" };
    format!("{sign}{}.{fraction}", group(&whole, currency == "INR"))
}

/// Groups the digits of a whole number.
fn group(digits: &str, indian: bool) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 2);
    for (i, digit) in digits.chars().enumerate() {
        let left = digits.len() - i;
        let comma = match indian {
            false => left.is_multiple_of(3),
            true => left == 3 || left > 3 && (left - 3).is_multiple_of(2),
        };
        if i > 0 && comma {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count, grouped by thousands.
pub fn count(n: u64) -> String {
    group(&n.to_string(), false)
}

/// A plain decimal text with its whole part grouped by thousands.
pub fn plain(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (MINUS, rest),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", group(whole, false))
}

/// An average price: four decimals are enough to read it by, all eight below one.
pub fn average(price: Price) -> String {
    let step = 10_000;
    let raw = price.raw();
    let shown = if raw.abs() < model::fixed::ONE {
        raw
    } else {
        // Half away from zero; a price is far from the limit of its type.
        raw.saturating_add(raw.signum() * step / 2) / step * step
    };
    plain(&Price::from_raw(shown).to_string())
}

/// A fraction as a percentage with two decimals, and a dash where there is none.
pub fn percent(fraction: Option<f64>) -> String {
    match fraction {
        // An annualised figure of a few days can be astronomically large.
        Some(f) if f.abs() >= 1e6 => format!("{}10⁶ %", if f < 0.0 { "< −" } else { "> " }),
        Some(f) => format!("{} %", number(f * 100.0, 2)),
        None => "–".to_owned(),
    }
}

/// A statistic with so many decimals, and a dash where there is none.
pub fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |v| number(v, decimals))
}

fn number(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.3e}").replacen('-', MINUS, 1);
    }
    let text = format!("{value:.decimals$}");
    let zero = text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
    plain(if zero {
        text.trim_start_matches('-')
    } else {
        &text
    })
}

/// A length of time in its two largest units.
pub fn held(nanos: i64) -> String {
    let seconds = nanos / model::time::SECOND;
    let (d, h, m, s) = (
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    );
    match (d, h, m) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, _) => format!("{m} min {s:02} s"),
        (0, _, _) => format!("{h} h {m:02} min"),
        _ => format!("{d} d {h} h"),
    }
}

/// `YYYY-MM-DD HH:MM:SS` in a time zone.
pub fn time(ts: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(ts.nanos())) {
        Ok(instant) => instant
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        // Outside the years that a calendar holds.
        Err(_) => ts.to_string(),
    }
}

/// Seconds from UTC to a time zone's clock at an instant.
pub fn offset(ts: Timestamp, zone: &TimeZone) -> i32 {
    jiff::Timestamp::from_nanosecond(i128::from(ts.nanos()))
        .map_or(0, |instant| zone.to_offset(instant).seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_grouped_and_rounded_by_integers() {
        let show = |text: &str, currency| money(text.parse().unwrap(), currency);
        assert_eq!(show("1234567.895", "INR"), "12,34,567.90");
        assert_eq!(show("-1234567.894999999999999999", "USD"), "−1,234,567.89");
        assert_eq!(show("999.995", "USD"), "1,000.00");
        assert_eq!(show("-0.005", "USD"), "−0.01");
        assert_eq!(show("0.00012", "USDT"), "0.00012");
        assert_eq!(show("0", "INR"), "0.00");
        assert_eq!(show("100000", "INR"), "1,00,000.00");
        assert_eq!(average("1962.82857143".parse().unwrap()), "1,962.8286");
        assert_eq!(average("0.00012345".parse().unwrap()), "0.00012345");
        assert_eq!(money(Amount::MAX, "USD"), "170,141,183,460,469,231,731.69");
    }

    #[test]
    fn statistics_and_times_read_well() {
        assert_eq!(percent(Some(-0.12345)), "−12.35 %");
        assert_eq!(percent(Some(-0.000001)), "0.00 %");
        assert_eq!(percent(None), "–");
        assert_eq!(figure(Some(1234.5678), 2), "1,234.57");
        assert_eq!(plain("-1234567.5"), "−1,234,567.5");
        assert_eq!(held(3_725 * 1_000_000_000), "1 h 02 min");
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let ts = Timestamp(1_618_458_300_000_000_000);
        assert_eq!(time(ts, &zone), "2021-04-15 09:15:00");
        assert_eq!(offset(ts, &zone), 19_800);
    }
}
