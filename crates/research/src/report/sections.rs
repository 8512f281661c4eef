//! Key figures, sums and statistics.

use model::signal::Side;

use super::format::{average as average_price, count, figure, held, money, percent, plain, time};
use super::html::{Column, Table, escape, put, sign_class};
use super::{Page, returns};
use crate::statistics::Statistics;
use crate::summary::TableRow;

use Column::{Number, Text};

/// One headline figure.
fn card(out: &mut String, name: &str, value: &str, exact: &str, note: &str, coloured: bool) {
    let class = if coloured { sign_class(exact) } else { "" };
    put(
        out,
        format_args!(
            "<div class=\"card\"><dt>{}</dt><dd class=\"{class}\" title=\"{}\">{}</dd><p>{}</p></div>",
            escape(name),
            escape(exact),
            escape(value),
            escape(note)
        ),
    );
}

/// The key figures of each namespace, in its own currency.
pub fn key_figures(page: &Page<'_>) -> String {
    let mut out = String::new();
    let brokers = &page.data.collected.brokers;
    for broker in brokers {
        if brokers.len() > 1 {
            put(&mut out, format_args!("<h3>{}</h3>", escape(&broker.name)));
        }
        let Some(result) = broker.currencies.first() else {
            continue;
        };
        let code = page.currency(result);
        let s = &result.statistics;
        out.push_str("<dl class=\"cards\">");
        let net = result.net.to_string();
        let note = format!(
            "{} before charges",
            money_of(result.net, result.charges, code)
        );
        card(
            &mut out,
            &format!("Net profit, {code}"),
            &money(result.net, code),
            &net,
            &note,
            true,
        );
        let total = percent(s.total_return);
        let note = match &s.not_annualised {
            None => format!(
                "{} a year of {} sessions",
                percent(s.cagr),
                s.periods_per_year
            ),
            Some(reason) => format!("not annualised: {reason}"),
        };
        card(&mut out, "Return", &total, &total, &note, true);
        let note = format!("from {}", money(result.start, code));
        let equity = result.equity.to_string();
        card(
            &mut out,
            "Equity",
            &money(result.equity, code),
            &equity,
            &note,
            false,
        );
        // Percentage and amount are of the same fall; the deepest one between closes stands apart.
        let fall = percent(s.max_drawdown);
        let note = format!(
            "{} on daily closes; {} marked on every tick",
            with_code(s.max_drawdown_amount, code),
            money(result.max_drawdown, code)
        );
        card(&mut out, "Largest drawdown", &fall, &fall, &note, false);
        let sharpe = figure(s.sharpe, 2);
        let note = match &s.not_annualised {
            None => format!(
                "Sortino {}, {} sessions to the year",
                figure(s.sortino, 2),
                s.periods_per_year
            ),
            Some(reason) => format!("not annualised: {reason}"),
        };
        card(&mut out, "Sharpe", &sharpe, &sharpe, &note, false);
        let factor = figure(s.profit_factor, 2);
        let note = format!("{} of trades won", percent(s.win_rate));
        card(&mut out, "Profit factor", &factor, &factor, &note, false);
        let trades = count(s.trades);
        let note = format!(
            "{} orders, {} fills",
            count(broker.counts.orders),
            count(broker.counts.fills)
        );
        card(&mut out, "Closed trades", &trades, &trades, &note, false);
        let charges = result.charges.to_string();
        let mut note = format!("{} traded", money(result.traded_value, code));
        if !result.adjustments.is_zero() {
            let adjusted = money(result.adjustments, code);
            note = format!("{note}, {adjusted} adjusted at closes");
        }
        card(
            &mut out,
            "Charges",
            &money(result.charges, code),
            &charges,
            &note,
            false,
        );
        out.push_str("</dl>");
    }
    if brokers.len() > 1 || brokers.iter().any(|b| b.currencies.len() > 1) {
        out.push_str(&by_broker(page));
    }
    out
}

/// Net profit with the charges added back.
fn money_of(net: model::Amount, charges: model::Amount, code: &str) -> String {
    net.checked_add(charges)
        .map_or_else(|_| "–".to_owned(), |gross| money(gross, code))
}

fn by_broker(page: &Page<'_>) -> String {
    let mut table = Table::new(
        "By broker and currency",
        &[
            ("Broker", Text),
            ("Currency", Text),
            ("Start", Number),
            ("Realised", Number),
            ("Unrealised", Number),
            ("Charges", Number),
            ("Net", Number),
            ("Equity", Number),
            ("Largest drawdown (on ticks)", Number),
            ("Cash flow", Number),
        ],
    );
    for broker in &page.data.collected.brokers {
        for r in &broker.currencies {
            let code = page.currency(r);
            table
                .row()
                .cell(&broker.name)
                .cell(code)
                .number(&money(r.start, code), r.start)
                .signed(&money(r.realised, code), r.realised)
                .signed(&money(r.unrealised, code), r.unrealised)
                .number(&money(r.charges, code), r.charges)
                .signed(&money(r.net, code), r.net)
                .number(&money(r.equity, code), r.equity)
                .number(&money(r.max_drawdown, code), r.max_drawdown)
                .signed(&money(r.cash_flow, code), r.cash_flow);
        }
    }
    table.finish()
}

/// Returns by day or month of everything that has closing equities.
pub fn period_returns(page: &Page<'_>) -> String {
    let mut out = String::new();
    for (broker, result) in page.results().filter(|(_, r)| !r.days.is_empty()) {
        out.push_str(&returns::table(
            result,
            &page.label(broker, result),
            page.currency(result),
        ));
    }
    if out.is_empty() {
        out.push_str("<p class=\"empty\">No trading day has closed.</p>");
    }
    out
}

/// Sums per strategy, or per instrument.
pub fn sums(caption: &str, first: &str, rows: &[TableRow]) -> String {
    if rows.is_empty() {
        return "<p class=\"empty\">No signal and no trade.</p>".to_owned();
    }
    let brokers = rows.iter().any(|row| row.broker != rows[0].broker);
    let currencies = rows.iter().any(|row| row.currency != rows[0].currency);
    let mut columns = vec![(first, Text)];
    if brokers {
        columns.push(("Broker", Text));
    }
    if currencies {
        columns.push(("Currency", Text));
    }
    columns.extend([
        ("Net", Number),
        ("Realised", Number),
        ("Unrealised", Number),
        ("Charges", Number),
        ("Trades", Number),
        ("Win rate", Number),
        ("Profit factor", Number),
        ("Fills", Number),
        ("Signals", Number),
        ("Rejected", Number),
        ("Orders", Number),
        ("Quantity", Number),
        ("Traded value", Number),
    ]);
    let caption = match currencies {
        true => caption.to_owned(),
        false => format!("{caption}, in {}", rows[0].currency),
    };
    let mut table = Table::new(&caption, &columns);
    for row in rows {
        let code = &row.currency;
        let name = row
            .strategy
            .as_deref()
            .or(row.instrument.as_deref())
            .unwrap_or_default();
        table.row().cell(name);
        if brokers {
            table.cell(&row.broker);
        }
        if currencies {
            table.cell(code);
        }
        table
            .signed(&money(row.net.0, code), row.net)
            .signed(&money(row.realised.0, code), row.realised)
            .signed(&money(row.unrealised.0, code), row.unrealised)
            .number(&money(row.charges.0, code), row.charges)
            .number(&count(row.trades), row.trades)
            .number(&percent(row.win_rate), row.win_rate.unwrap_or(-1.0))
            .number(
                &figure(row.profit_factor, 2),
                row.profit_factor.unwrap_or(-1.0),
            )
            .number(&count(row.fills), row.fills)
            .number(&count(row.signals), row.signals)
            .number(&count(row.rejected), row.rejected)
            .number(&count(row.orders), row.orders)
            .number(
                &plain(&row.traded_quantity.to_string()),
                row.traded_quantity,
            )
            .number(&money(row.traded_value.0, code), row.traded_value);
    }
    table.finish()
}

/// Positions that are open at the end; empty when there are none.
pub fn open_positions(page: &Page<'_>) -> String {
    let names = page.data.names;
    let mut table = Table::new(
        "Positions open at the end, at the last price",
        &[
            ("Broker", Text),
            ("Strategy", Text),
            ("Instrument", Text),
            ("Product", Text),
            ("Side", Text),
            ("Quantity", Number),
            ("Average price", Number),
            ("Last price", Number),
            ("Unrealised", Number),
            ("Opened", Text),
        ],
    );
    for broker in &page.data.collected.brokers {
        for row in &broker.open {
            let code = names.currency(names.instruments.currency(row.instrument));
            let average = row
                .average_price
                .map_or_else(|| "–".to_owned(), average_price);
            table
                .row()
                .cell(&broker.name)
                .cell(names.strategy(row.strategy))
                .cell(names.instrument(row.instrument))
                .cell(&row.product.name().replace('_', " "))
                .cell(if row.side == Side::Buy {
                    "long"
                } else {
                    "short"
                })
                .number(&plain(&row.quantity.to_string()), row.quantity)
                .number(&average, row.average_price.unwrap_or_default())
                .number(&plain(&row.last_price.to_string()), row.last_price)
                .signed(&money(row.unrealised, code), row.unrealised)
                .cell(&time(row.opened, &page.zone));
        }
    }
    if table.rows() == 0 {
        String::new()
    } else {
        table.finish()
    }
}

/// The statistics, one column per namespace and currency.
pub fn statistics(page: &Page<'_>) -> String {
    let results: Vec<_> = page.results().collect();
    let labels: Vec<String> = results.iter().map(|(b, r)| page.label(b, r)).collect();
    let mut columns = vec![("Statistic", Text)];
    columns.extend(labels.iter().map(|label| (label.as_str(), Number)));
    let mut table = Table::new("Statistics from daily closes and closed trades", &columns);
    type Show = fn(&Statistics, &str) -> String;
    let rows: [(&str, Show); 22] = [
        ("Trading days", |s, _| count(u64::from(s.days))),
        ("Total return", |s, _| percent(s.total_return)),
        ("Annual growth (CAGR)", |s, _| annual(s, percent(s.cagr))),
        ("Annual volatility", |s, _| annual(s, percent(s.volatility))),
        ("Sharpe ratio", |s, _| annual(s, figure(s.sharpe, 3))),
        ("Sortino ratio", |s, _| annual(s, figure(s.sortino, 3))),
        ("Calmar ratio", |s, _| annual(s, figure(s.calmar, 3))),
        ("Maximum drawdown on closes", |s, _| percent(s.max_drawdown)),
        ("… in money", |s, code| {
            with_code(s.max_drawdown_amount, code)
        }),
        ("… its length in days", |s, _| days(s.max_drawdown_days)),
        ("Longest drawdown in days", |s, _| {
            days(s.longest_drawdown_days)
        }),
        ("Best day", |s, _| day(s.best_day)),
        ("Worst day", |s, _| day(s.worst_day)),
        ("Closed trades", |s, _| count(s.trades)),
        ("Win rate", |s, _| percent(s.win_rate)),
        ("Profit factor", |s, _| figure(s.profit_factor, 3)),
        ("Expectancy per trade", |s, code| {
            with_code(s.expectancy, code)
        }),
        ("Average win", |s, code| with_code(s.average_win, code)),
        ("Average loss", |s, code| with_code(s.average_loss, code)),
        ("Average time held", |s, _| {
            s.average_held_seconds
                .map_or_else(|| "–".to_owned(), |n| held((n * 1e9) as i64))
        }),
        ("Exposure (days with a position)", |s, _| {
            percent(s.exposure)
        }),
        ("Turnover (traded ÷ mean equity)", |s, _| {
            figure(s.turnover, 2)
        }),
    ];
    for (name, show) in rows {
        table.row().cell(name);
        for (_, result) in &results {
            table.cell(&show(&result.statistics, page.currency(result)));
        }
    }
    table.finish()
}

/// An annual figure with the sessions that its year has, or why there is none.
fn annual(s: &Statistics, shown: String) -> String {
    match &s.not_annualised {
        Some(reason) => format!("– ({reason})"),
        None => format!("{shown} (year of {})", s.periods_per_year),
    }
}

fn days(n: Option<u32>) -> String {
    n.map_or_else(|| "–".to_owned(), |n| count(u64::from(n)))
}

fn day(day: Option<crate::statistics::DayReturn>) -> String {
    day.map_or_else(
        || "–".to_owned(),
        |d| format!("{} ({})", percent(Some(d.value)), d.date),
    )
}

fn with_code(value: Option<f64>, code: &str) -> String {
    value.map_or_else(
        || "–".to_owned(),
        |_| format!("{} {code}", figure(value, 2)),
    )
}
