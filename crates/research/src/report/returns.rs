//! Returns by day while the period is short, by month after that.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::format;
use super::html::{Column, Table, escape, sign_class};
use crate::collector::CurrencyResult;
use crate::collector::book::DayClose;

/// Trading days up to which every day has a row of its own.
pub const DAILY_MAX: usize = 45;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The table of one namespace in one currency.
pub fn table(result: &CurrencyResult, label: &str, currency: &str) -> String {
    if result.days.len() <= DAILY_MAX {
        changes(
            &result.days,
            result,
            ("Daily returns", "Trading day"),
            label,
            currency,
        )
    } else if result.start <= model::Amount::ZERO {
        // Without cash at the start there is nothing that a change could be a share of.
        let last_of_month: Vec<DayClose> = result
            .days
            .chunk_by(|a, b| month(a) == month(b))
            .filter_map(<[DayClose]>::last)
            .copied()
            .collect();
        changes(
            &last_of_month,
            result,
            ("Monthly changes", "Month's last day"),
            label,
            currency,
        )
    } else {
        monthly(result, label)
    }
}

fn month(day: &DayClose) -> (i32, u8) {
    let (year, month, _) = day.date.ymd();
    (year, month)
}

fn changes(
    days: &[DayClose],
    result: &CurrencyResult,
    (caption, first): (&str, &str),
    label: &str,
    currency: &str,
) -> String {
    let mut table = Table::new(
        &format!("{caption}, {label}"),
        &[
            (first, Column::Text),
            ("Return", Column::Number),
            ("Change", Column::Number),
            ("Closing equity", Column::Number),
        ],
    );
    let mut before = result.start;
    for day in days {
        let change = day.equity.checked_sub(before).unwrap_or_default();
        let fraction = change.to_f64() / before.to_f64();
        let positive = result.start.raw() > 0 && before.raw() > 0;
        let fraction = (positive && fraction.is_finite()).then_some(fraction);
        table
            .row()
            .cell(&day.date.to_string())
            .signed(&format::percent(fraction), fraction.unwrap_or_default())
            .signed(&format::money(change, currency), change)
            .number(&format::money(day.equity, currency), day.equity);
        before = day.equity;
    }
    table.finish()
}

fn monthly(result: &CurrencyResult, label: &str) -> String {
    // The last close of each month, and from it the return on the one before.
    let mut closes: BTreeMap<(i32, u8), f64> = BTreeMap::new();
    for day in &result.days {
        closes.insert(month(day), day.equity.to_f64());
    }
    let fraction = |now: f64, before: f64| {
        let f = now / before - 1.0;
        (before > 0.0 && f.is_finite()).then_some(f)
    };
    let mut years: BTreeMap<i32, ([Option<f64>; 12], Option<f64>)> = BTreeMap::new();
    let (mut before, mut year_start) = (result.start.to_f64(), result.start.to_f64());
    let mut current = None;
    for ((year, month), close) in closes {
        if current != Some(year) {
            (current, year_start) = (Some(year), before);
        }
        let row = years.entry(year).or_default();
        if let Some(cell) = row.0.get_mut(usize::from(month).wrapping_sub(1)) {
            *cell = fraction(close, before);
        }
        row.1 = fraction(close, year_start);
        before = close;
    }
    let largest = years
        .values()
        .flat_map(|(months, _)| months.iter().flatten())
        .fold(0.0f64, |m, f| m.max(f.abs()));

    let caption = escape(&format!("Monthly returns in per cent, {label}"));
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\
         <table class=\"heat\"><caption>{caption}</caption><thead><tr><th scope=\"col\">Year</th>"
    );
    for month in MONTHS {
        let _infallible = write!(html, "<th scope=\"col\" class=\"n\">{month}</th>");
    }
    html.push_str("<th scope=\"col\" class=\"n\">Year</th></tr></thead><tbody>");
    for (year, (months, total)) in years {
        let _infallible = write!(html, "<tr><th scope=\"row\">{year}</th>");
        for value in months {
            html.push_str(&heat(value, largest));
        }
        html.push_str(&heat(total, 0.0));
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// A cell whose colour is as strong as its return beside the largest one.
fn heat(value: Option<f64>, largest: f64) -> String {
    let Some(value) = value else {
        return "<td class=\"n\"></td>".to_owned();
    };
    let text = format::figure(Some(value * 100.0), 2);
    let class = sign_class(&text);
    let strength = if largest > 0.0 {
        (value.abs() / largest * 55.0).round()
    } else {
        0.0
    };
    format!("<td class=\"n heat-{class}\" style=\"--heat:{strength}%\">{text}</td>")
}
