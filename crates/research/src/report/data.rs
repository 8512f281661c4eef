//! What the page's script draws: thinned series, executions, trades.
//!
//! Times are in milliseconds, each after the first as the difference from the one before. Numbers
//! place points and sort rows; every figure that is shown is a text made here.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use model::money::CurrencyIdx;
use model::signal::Side;
use model::{InstrumentIdx, Timestamp};
use serde::Serialize;

use super::{ReportData, format};

/// Instruments with a price chart: the most traded ones.
pub const CHARTS_MAX: usize = 60;

/// Everything the script needs.
#[derive(Debug, Serialize)]
pub struct PageData {
    /// Stretches of activity: first and last millisecond, offset of the clock in seconds.
    segments: Vec<(i64, i64, i32)>,
    equity: Vec<EquityChart>,
    prices: Vec<PriceChart>,
    trades: Vec<Vec<Cell>>,
}

#[derive(Debug, Serialize)]
struct EquityChart {
    label: String,
    currency: String,
    t: Vec<i64>,
    v: Vec<f64>,
    s: Vec<String>,
    dv: Vec<f64>,
    ds: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PriceChart {
    label: String,
    t: Vec<i64>,
    v: Vec<f64>,
    marks: Vec<Mark>,
    marks_total: u64,
}

/// Milliseconds, price, 1 for a buy and −1 for a sell, 1 for an entry, namespace, text.
type Mark = (i64, f64, i8, u8, String, String);

/// A text, or a text and the number that it is sorted by.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Cell {
    Text(String),
    Number(String, f64),
}

fn millis(ts: Timestamp) -> i64 {
    ts.nanos().div_euclid(1_000_000)
}

fn deltas(times: impl Iterator<Item = Timestamp>) -> Vec<i64> {
    let mut before = 0;
    times
        .map(|ts| {
            let now = millis(ts);
            let step = now - before;
            before = now;
            step
        })
        .collect()
}

/// How many instruments traded, and which of them get a chart, by id.
pub fn charted(data: &ReportData<'_>) -> (usize, Vec<InstrumentIdx>) {
    let mut fills: BTreeMap<InstrumentIdx, u64> = BTreeMap::new();
    for broker in &data.collected.brokers {
        for (instrument, cell) in &broker.by_instrument {
            *fills.entry(*instrument).or_default() += cell.fills;
        }
    }
    let mut ranked: Vec<(u64, InstrumentIdx)> = fills.into_iter().map(|(i, n)| (n, i)).collect();
    ranked.retain(|(_, i)| data.prices.series(*i).is_some_and(|s| s.count() > 0));
    ranked.sort_by_key(|(n, i)| (std::cmp::Reverse(*n), *i));
    let total = ranked.len();
    ranked.truncate(CHARTS_MAX);
    let mut charted: Vec<InstrumentIdx> = ranked.into_iter().map(|(_, i)| i).collect();
    charted.sort_unstable();
    (total, charted)
}

/// Collects what the script draws.
pub fn page_data(data: &ReportData<'_>, zone: &TimeZone) -> PageData {
    let segments = data.prices.segments().iter();
    PageData {
        segments: segments
            .map(|(a, b)| (millis(*a), millis(*b), format::offset(*a, zone)))
            .collect(),
        equity: equity(data),
        prices: charted(data)
            .1
            .into_iter()
            .filter_map(|i| price(data, i))
            .collect(),
        trades: trades(data, zone),
    }
}

/// `broker · currency`, without what all have in common.
fn label(data: &ReportData<'_>, broker: &str, currency: CurrencyIdx) -> String {
    let code = data.names.currency(currency);
    if data.collected.brokers.len() > 1 {
        format!("{broker} · {code}")
    } else {
        code.to_owned()
    }
}

fn equity(data: &ReportData<'_>) -> Vec<EquityChart> {
    let mut charts = Vec::new();
    for broker in &data.collected.brokers {
        for result in broker.currencies.iter().filter(|r| !r.curve.is_empty()) {
            let code = data.names.currency(result.currency);
            let fall = |p: &crate::collector::book::EquityPoint| {
                p.equity.checked_sub(p.peak).unwrap_or_default()
            };
            let curve = &result.curve;
            charts.push(EquityChart {
                label: label(data, &broker.name, result.currency),
                currency: code.to_owned(),
                t: deltas(curve.iter().map(|p| p.ts)),
                v: curve.iter().map(|p| p.equity.to_f64()).collect(),
                s: curve
                    .iter()
                    .map(|p| format::money(p.equity, code))
                    .collect(),
                dv: curve.iter().map(|p| fall(p).to_f64()).collect(),
                ds: curve.iter().map(|p| format::money(fall(p), code)).collect(),
            });
        }
    }
    charts
}

fn price(data: &ReportData<'_>, instrument: InstrumentIdx) -> Option<PriceChart> {
    let points = data.prices.series(instrument)?.points();
    let mut chart = PriceChart {
        label: data.names.instrument(instrument).to_owned(),
        t: deltas(points.iter().map(|p| p.ts)),
        v: points.iter().map(|p| p.price.to_f64()).collect(),
        marks: Vec::new(),
        marks_total: 0,
    };
    for broker in &data.collected.brokers {
        let Some(marks) = broker.marks.get(&instrument) else {
            continue;
        };
        chart.marks_total += marks.count();
        for mark in marks.items() {
            let text = format!(
                "{} {} {} @ {} · {} · {}",
                mark.role.name().replace('_', " "),
                mark.side.name(),
                format::plain(&mark.quantity.to_string()),
                format::plain(&mark.price.to_string()),
                data.names.strategy(mark.strategy),
                broker.name,
            );
            let entry = u8::from(mark.role == model::order::OrderRole::Entry);
            let side = if mark.side == Side::Buy { 1 } else { -1 };
            let price = mark.price.to_f64();
            chart.marks.push((
                millis(mark.ts),
                price,
                side,
                entry,
                broker.name.clone(),
                text,
            ));
        }
    }
    chart.marks.sort_by_key(|mark| mark.0);
    Some(chart)
}

/// The columns of the trade list, and whether each is a number.
pub const TRADE_COLUMNS: [(&str, bool); 14] = [
    ("Opened", false),
    ("Closed", false),
    ("Broker", false),
    ("Strategy", false),
    ("Instrument", false),
    ("Side", false),
    ("Quantity", true),
    ("Entry", true),
    ("Exit", true),
    ("Gross", true),
    ("Charges", true),
    ("Net", true),
    ("Held", true),
    ("Exit by", false),
];

fn trades(data: &ReportData<'_>, zone: &TimeZone) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for broker in &data.collected.brokers {
        for trade in &broker.trades {
            let (strategy, instrument, _) = trade.key;
            let code = data
                .names
                .currency(data.names.instruments.currency(instrument));
            let money =
                |amount: model::Amount| Cell::Number(format::money(amount, code), amount.to_f64());
            let price = |price: Option<model::Price>| match price {
                Some(p) => Cell::Number(format::average(p), p.to_f64()),
                None => Cell::Text("–".to_owned()),
            };
            let quantity = format::plain(&trade.max_quantity.to_string());
            let held = trade.closed.since(trade.opened);
            let side = if trade.side == Side::Buy {
                "long"
            } else {
                "short"
            };
            rows.push(vec![
                Cell::Text(format::time(trade.opened, zone)),
                Cell::Text(format::time(trade.closed, zone)),
                Cell::Text(broker.name.clone()),
                Cell::Text(data.names.strategy(strategy).to_owned()),
                Cell::Text(data.names.instrument(instrument).to_owned()),
                Cell::Text(side.to_owned()),
                Cell::Number(quantity, trade.max_quantity.to_f64()),
                price(trade.entry_price),
                price(trade.exit_price),
                money(trade.gross),
                money(trade.charges),
                money(trade.net),
                Cell::Number(format::held(held), held as f64),
                Cell::Text(trade.exit_role.name().replace('_', " ")),
            ]);
        }
    }
    rows
}
