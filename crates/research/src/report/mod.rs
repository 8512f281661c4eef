//! `report.html`: one self-contained page about a run.
//!
//! All figures are texts that were made here from exact numbers; the page's script draws, sorts and
//! pages, and computes no money. Everything is inline: the page needs no network, and its content
//! security policy allows none.

mod charges;
mod data;
mod format;
mod html;
mod records;
mod returns;
mod sections;

use std::io::Write;

use jiff::tz::TimeZone;

use self::html::{escape, message, put, script_json};
use crate::collector::{BrokerResult, Collected, CurrencyResult, TRADES_MAX};
use crate::error::OutputError;
use crate::log_hash::Names;
use crate::sampler::PriceSampler;
use crate::summary::Summary;

pub use self::data::CHARTS_MAX;

const UPLOT_JS: &str = include_str!("../../assets/uPlot.iife.min.js");
const UPLOT_CSS: &str = include_str!("../../assets/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("../../assets/uPlot.LICENSE");
const REPORT_CSS: &str = include_str!("../../assets/report.css");
const REPORT_JS: &str = include_str!("../../assets/report.js");

/// What the report is about.
#[derive(Debug, Clone, Copy)]
pub struct ReportData<'a> {
    /// The page's title.
    pub title: &'a str,
    /// The totals.
    pub summary: &'a Summary,
    /// What was collected.
    pub collected: &'a Collected,
    /// The prices.
    pub prices: &'a PriceSampler,
    /// The names behind indices.
    pub names: Names<'a>,
    /// The time zone of times on the page, by its IANA name.
    pub time_zone: &'a str,
}

/// The page while it is written.
struct Page<'a> {
    data: &'a ReportData<'a>,
    zone: TimeZone,
}

impl<'a> Page<'a> {
    fn results(&self) -> impl Iterator<Item = (&'a BrokerResult, &'a CurrencyResult)> {
        let brokers = &self.data.collected.brokers;
        brokers
            .iter()
            .flat_map(|b| b.currencies.iter().map(move |c| (b, c)))
    }
    fn currency(&self, result: &CurrencyResult) -> &'a str {
        self.data.names.currency(result.currency)
    }
    fn label(&self, broker: &BrokerResult, result: &CurrencyResult) -> String {
        format!("{} · {}", broker.name, self.currency(result))
    }
}

/// Writes the page.
pub fn write_html(data: &ReportData<'_>, out: &mut impl Write) -> Result<(), OutputError> {
    let zone = TimeZone::get(data.time_zone)
        .map_err(|_| OutputError::TimeZone(data.time_zone.to_owned()))?;
    let page = Page { data, zone };
    let json = serde_json::to_string(&data::page_data(data, &page.zone))?;
    let html = document(&page, &script_json(&json));
    out.write_all(html.as_bytes())
        .map_err(OutputError::io("report.html".as_ref()))
}

fn document(page: &Page<'_>, json: &str) -> String {
    let title = escape(page.data.title);
    let mut out = String::with_capacity(json.len() + 200_000);
    put(
        &mut out,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
             <style>{UPLOT_CSS}\n{REPORT_CSS}</style></head><body>"
        ),
    );
    header(&mut out, page, &title);
    out.push_str("<main>");
    section(
        &mut out,
        "figures",
        "Key figures",
        &sections::key_figures(page),
    );
    section(&mut out, "equity", "Equity and drawdown", &equity_charts());
    section(
        &mut out,
        "returns",
        "Returns",
        &sections::period_returns(page),
    );
    let summary = page.data.summary;
    let strategies = sections::sums("Sums per strategy", "Strategy", &summary.by_strategy);
    section(&mut out, "strategies", "Strategies", &strategies);
    let instruments = sections::sums("Sums per instrument", "Instrument", &summary.by_instrument);
    section(&mut out, "instruments", "Instruments", &instruments);
    let paid = charges::charges(page);
    section(&mut out, "charges", "Charges", &paid);
    section(
        &mut out,
        "prices",
        "Prices, entries and exits",
        &price_charts(page),
    );
    let open = sections::open_positions(page);
    if !open.is_empty() {
        section(&mut out, "open", "Open positions", &open);
    }
    section(&mut out, "trades", "Trades", &trades(page));
    let mut statistics = sections::statistics(page);
    statistics.push_str(
        "<p class=\"note\">Simple daily returns on closing equity, the first against the starting \
         cash; sessions to the year by the calendar of what was traded, and nothing \
         annualised below 60 sessions; risk-free rate 0; standard deviation of the sample (n − 1); \
         downside deviation over all days below 0. Trades count after charges. A dash: too little \
         data for the figure.</p>",
    );
    section(&mut out, "statistics", "Statistics", &statistics);
    section(
        &mut out,
        "orders",
        "Orders and refusals",
        &records::orders_and_rejections(page),
    );
    section(
        &mut out,
        "data",
        "Data quality",
        &records::data_quality(page),
    );
    section(
        &mut out,
        "provenance",
        "Provenance and settings",
        &records::provenance(page),
    );
    put(
        &mut out,
        format_args!(
            "</main><footer><p>Exact figures are in <code>summary.json</code> and in the CSV files \
             beside this page; what is shown here is rounded for reading, and the exact value is \
             each figure's hint.</p><details><summary>Chart library: uPlot, MIT licence</summary>\
             <pre>{}</pre></details></footer>\
             <script type=\"application/json\" id=\"page-data\">{json}</script>\
             <script>{UPLOT_JS}</script><script>{REPORT_JS}</script></body></html>\n",
            escape(UPLOT_LICENCE)
        ),
    );
    out
}

fn header(out: &mut String, page: &Page<'_>, title: &str) {
    let s = page.data.summary;
    let brokers: Vec<&str> = page
        .data
        .collected
        .brokers
        .iter()
        .map(|b| b.name.as_str())
        .collect();
    let period = match (
        page.data.prices.segments().first(),
        page.data.prices.segments().last(),
    ) {
        (Some((from, _)), Some((_, to))) => {
            let (from, to) = (
                format::time(*from, &page.zone),
                format::time(*to, &page.zone),
            );
            format!("{from} to {to} {}", page.data.time_zone)
        }
        _ => "no market data".to_owned(),
    };
    put(
        out,
        format_args!(
            "<header><h1>{title}</h1><p class=\"sub\">{} · on {} · {} ticks</p>",
            escape(&period),
            escape(&brokers.join(", ")),
            format::count(s.ticks)
        ),
    );
    believe(out, page);
    if s.all_refused.is_some() || !s.warnings.is_empty() {
        out.push_str("<div class=\"banner\" role=\"alert\"><strong>Read this first</strong><ul>");
        for warning in s.all_refused.iter().chain(&s.warnings) {
            put(out, format_args!("<li>{}</li>", message(warning)));
        }
        out.push_str("</ul></div>");
    }
    out.push_str("<nav aria-label=\"Sections\">");
    for (id, name) in [
        ("equity", "Equity"),
        ("returns", "Returns"),
        ("strategies", "Strategies"),
        ("instruments", "Instruments"),
        ("charges", "Charges"),
        ("prices", "Prices"),
        ("trades", "Trades"),
        ("statistics", "Statistics"),
        ("orders", "Orders"),
        ("data", "Data"),
        ("provenance", "Provenance"),
    ] {
        put(out, format_args!("<a href=\"#{id}\">{name}</a>"));
    }
    out.push_str("</nav></header>");
}

/// What the figures below rest on: how much there was of it, and what was left out or is in doubt.
fn believe(out: &mut String, page: &Page<'_>) {
    let s = page.data.summary;
    let statistics = || page.results().map(|(_, result)| &result.statistics);
    let sessions = statistics().map(|s| s.days).max().unwrap_or_default();
    let trades: u64 = statistics().map(|s| s.trades).sum();
    let few = statistics().find_map(|s| s.not_annualised.as_deref());
    let share = |part: u64, of: u64| match part {
        0 => "none".to_owned(),
        part => {
            let share = format::percent(Some(part as f64 / of.max(part) as f64));
            format!("{} ({share})", format::count(part))
        }
    };
    let annual = few.map_or_else(String::new, |few| {
        format!(": {few}, so nothing is annualised")
    });
    let lines = [
        (
            "Sessions",
            format!("{}{annual}", format::count(u64::from(sessions))),
        ),
        ("Closed trades", format::count(trades)),
        ("Refused signals", share(s.rejected_total, s.signals)),
        ("Rejected rows", share(s.rows_rejected_total, s.rows_read)),
        (
            "Doubts about kept rows",
            share(s.rows_doubtful.values().sum(), s.rows_read),
        ),
        (
            "Warnings",
            match s.warnings.len() {
                0 => "none".to_owned(),
                n => format!("{n}, below"),
            },
        ),
    ];
    out.push_str("<dl class=\"believe\" aria-label=\"How much to believe\">");
    for (name, text) in lines {
        put(
            out,
            format_args!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(&text)),
        );
    }
    out.push_str("</dl>");
}

fn section(out: &mut String, id: &str, heading: &str, body: &str) {
    put(
        out,
        format_args!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{heading}</h2>{body}</section>"
        ),
    );
}

/// Zoom buttons, a line for what the cursor is on, and the places that the script fills.
fn chart(id: &str, controls: &str, plots: &[(&str, &str)]) -> String {
    let mut out = format!(
        "<div class=\"chart\" data-chart=\"{id}\"><div class=\"controls\">{controls}\
         <span class=\"zoom\" role=\"group\" aria-label=\"Zoom\">\
         <button type=\"button\" data-zoom=\"in\" aria-label=\"Zoom in\">+</button>\
         <button type=\"button\" data-zoom=\"out\" aria-label=\"Zoom out\">−</button>\
         <button type=\"button\" data-zoom=\"left\" aria-label=\"Earlier\">←</button>\
         <button type=\"button\" data-zoom=\"right\" aria-label=\"Later\">→</button>\
         <button type=\"button\" data-zoom=\"all\">All</button></span></div>\
         <p class=\"readout\" aria-live=\"off\">&nbsp;</p>"
    );
    for (class, label) in plots {
        put(
            &mut out,
            format_args!(
                "<div class=\"plot {class}\" tabindex=\"0\" role=\"img\" aria-label=\"{}. Arrow \
                 keys move, plus and minus zoom, 0 shows all.\"></div>",
                escape(label)
            ),
        );
    }
    out.push_str("<noscript><p class=\"empty\">Charts need JavaScript.</p></noscript></div>");
    out
}

fn equity_charts() -> String {
    let controls = "<label data-hide-single>Account <select data-pick></select></label>";
    let plots = [
        ("equity", "Equity over time"),
        ("drawdown", "Fall from the peak over time"),
    ];
    let mut out = chart("equity", controls, &plots);
    out.push_str(
        "<p class=\"note\">Drag to zoom, double-click for all. Nights and other pauses of an hour \
         and more are left out of the time axis. The curve is thinned to a few thousand points with \
         every extreme kept; all of it is in <code>equity.csv</code>.</p>",
    );
    out
}

fn price_charts(page: &Page<'_>) -> String {
    let (total, charted) = data::charted(page.data);
    if charted.is_empty() {
        return "<p class=\"empty\">No instrument was traded.</p>".to_owned();
    }
    let controls = "<label>Instrument <select data-pick></select></label>\
         <label data-hide-single>Broker <select data-broker></select></label>\
         <span class=\"key\" aria-hidden=\"true\"><i class=\"up\">▲</i> buy <i class=\"down\">▼</i> sell, hollow: exits</span>";
    let mut out = chart(
        "price",
        controls,
        &[("price", "Price with entries and exits")],
    );
    out.push_str("<p class=\"note\">Prices are thinned with every extreme kept. ");
    if total > charted.len() {
        put(
            &mut out,
            format_args!(
                "The {} most traded of {total} instruments are here. ",
                charted.len()
            ),
        );
    }
    out.push_str("<span data-marks></span></p>");
    out
}

fn trades(page: &Page<'_>) -> String {
    let brokers = &page.data.collected.brokers;
    let (shown, total) = brokers.iter().fold((0, 0), |(s, t), b| {
        (s + b.trades.len() as u64, t + b.trades_closed)
    });
    if total == 0 {
        return "<p class=\"empty\">No trade was closed.</p>".to_owned();
    }
    let (shown_text, total_text) = (format::count(shown), format::count(total));
    let note = if shown < total {
        format!(
            "First {} trades of each broker, {shown_text} of {total_text}; all are in \
             <code>trades.csv</code>, and every execution is in <code>fills.csv</code>.",
            format::count(TRADES_MAX as u64)
        )
    } else {
        format!(
            "All {total_text} closed trades, from flat to flat or to a reversal; also in \
             <code>trades.csv</code>, and every execution in <code>fills.csv</code>."
        )
    };
    let mut out = format!(
        "<p class=\"note\">{note}</p><div class=\"controls\"><label>Filter \
         <input type=\"search\" data-filter placeholder=\"strategy, instrument, date…\"></label>\
         <span class=\"zoom\"><button type=\"button\" data-page=\"-1\" aria-label=\"Previous page\">←</button>\
         <span data-pages aria-live=\"polite\"></span>\
         <button type=\"button\" data-page=\"1\" aria-label=\"Next page\">→</button></span></div>\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Trades\">\
         <table id=\"trade-list\"><caption>Closed trades</caption><thead><tr>"
    );
    for (name, number) in data::TRADE_COLUMNS {
        let class = if number { " class=\"n\"" } else { "" };
        put(
            &mut out,
            format_args!("<th scope=\"col\"{class}>{name}</th>"),
        );
    }
    out.push_str("</tr></thead><tbody></tbody></table></div>");
    out.push_str(
        "<noscript><p class=\"empty\">The list needs JavaScript; see trades.csv.</p></noscript>",
    );
    out
}
