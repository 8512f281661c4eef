//! How orders ended, what the data was like, and where everything came from.

use model::reason::Reason;
use model::signal::Action;

use super::Page;
use super::format::{count, figure, percent, time};
use super::html::{Column, Table, escape, put};
use crate::collector::BrokerResult;
use crate::collector::book::IncidentKind;

use Column::{Number, Text};

/// How orders ended, why signals were refused, and what an operator should have seen.
pub fn orders_and_rejections(page: &Page<'_>) -> String {
    let mut out = String::new();
    let brokers = &page.data.collected.brokers;
    let mut orders = Table::new(
        "Orders by how they ended",
        &[("Broker", Text), ("Status", Text), ("Orders", Number)],
    );
    for broker in brokers {
        for (status, n) in &broker.counts.orders_by_status {
            orders
                .row()
                .cell(&broker.name)
                .cell(status)
                .number(&count(*n), n);
        }
    }
    out.push_str("<div class=\"pair\">");
    if orders.rows() > 0 {
        out.push_str(&orders.finish());
    }
    let mut reasons = Table::new(
        "Refused signals and ended orders by reason",
        &[
            ("Broker", Text),
            ("What", Text),
            ("Reason", Text),
            ("Meaning", Text),
            ("Times", Number),
        ],
    );
    for broker in brokers {
        let c = &broker.counts;
        for (what, map) in [
            ("signal refused", &c.rejected),
            ("entry part refused", &c.entries_refused),
            ("order ended", &c.orders_by_reason),
            ("square-off", &c.square_offs),
        ] {
            for (code, n) in map {
                let meaning = Reason::ALL
                    .iter()
                    .find(|r| r.code() == *code)
                    .map(|r| r.text());
                let row = reasons.row().cell(&broker.name).cell(what).cell(code);
                row.cell(meaning.unwrap_or_default()).number(&count(*n), n);
            }
        }
    }
    if reasons.rows() > 0 {
        out.push_str(&reasons.finish());
    }
    out.push_str("</div>");
    for broker in brokers.iter().filter(|b| !b.decisions.is_empty()) {
        out.push_str(&decisions(page, broker));
    }
    for broker in brokers.iter().filter(|b| !b.incidents.is_empty()) {
        out.push_str(&incidents(page, broker));
    }
    if brokers
        .iter()
        .all(|b| b.counts.orders == 0 && b.counts.rejected.is_empty())
    {
        out.push_str("<p class=\"empty\">No order and no refusal.</p>");
    }
    out
}

/// What strategies asked for, and what they saw.
fn decisions(page: &Page<'_>, broker: &BrokerResult) -> String {
    let (seen, shown) = (broker.counts.signals, broker.decisions.len() as u64);
    let part = if seen > shown {
        format!(", first {shown} of {}", count(seen))
    } else {
        String::new()
    };
    let mut table = Table::new(
        &format!("Decisions, {}{part}", broker.name),
        &[
            ("Time", Text),
            ("Strategy", Text),
            ("Instrument", Text),
            ("Asks for", Text),
            ("Why", Text),
            ("On", Text),
            ("Saw", Text),
        ],
    );
    for signal in &broker.decisions {
        let decision = &signal.decision;
        let asks = match decision.action {
            Action::Enter { side, quantity } => format!("{} {quantity}", side.name()),
            Action::Exit { quantity: None } => "exit".to_owned(),
            Action::Exit {
                quantity: Some(quantity),
            } => format!("exit {quantity}"),
            Action::Target { quantity } => format!("target {quantity}"),
        };
        table
            .row()
            .cell(&time(signal.ts, &page.zone))
            .cell(page.data.names.strategy(signal.strategy))
            .cell(page.data.names.instrument(decision.instrument))
            .cell(&asks)
            .cell(decision.reason.as_str())
            .cell(&signal.trigger.name().replace('_', " "))
            .cell(&decision.note.rounded());
    }
    table.finish()
}

fn incidents(page: &Page<'_>, broker: &BrokerResult) -> String {
    let seen = broker.incidents_seen;
    let shown = broker.incidents.len() as u64;
    let part = if seen > shown {
        format!(", first {shown} of {}", count(seen))
    } else {
        String::new()
    };
    let mut table = Table::new(
        &format!("State changes and alerts, {}{part}", broker.name),
        &[("Time", Text), ("What", Text), ("Reason", Text)],
    );
    for incident in &broker.incidents {
        let what = match incident.what {
            IncidentKind::State { to, automatic } => {
                let by = if automatic {
                    "by a rule"
                } else {
                    "by an operator"
                };
                format!("trading {} {by}", to.name().replace('_', "-"))
            }
            IncidentKind::Strategy { strategy, enabled } => {
                let state = if enabled { "enabled" } else { "disabled" };
                format!("strategy {} {state}", page.data.names.strategy(strategy))
            }
            IncidentKind::Limit {
                strategy,
                breach,
                squares_off,
            } => {
                let whose = strategy
                    .map(|s| format!(" of strategy {}", page.data.names.strategy(s)))
                    .unwrap_or_default();
                let closes = if squares_off {
                    ", positions squared off"
                } else {
                    ""
                };
                let (loss, limit) = (breach.loss, breach.limit);
                format!("loss limit{whose} reached: {loss} lost, limit {limit}{closes}")
            }
            IncidentKind::Alert { order, strategy } => {
                let about = order.map(|o| format!(", order {o}")).unwrap_or_default();
                let whose = strategy
                    .map(|s| format!(", strategy {}", page.data.names.strategy(s)))
                    .unwrap_or_default();
                format!("alert{about}{whose}")
            }
        };
        table
            .row()
            .cell(&time(incident.ts, &page.zone))
            .cell(&what)
            .cell(incident.reason.text());
    }
    table.finish()
}

/// Rows read and rejected.
pub fn data_quality(page: &Page<'_>) -> String {
    let s = page.data.summary;
    let mut out = format!(
        "<p>{} rows read = {} ticks + {} rejected.</p>",
        count(s.rows_read),
        count(s.ticks),
        count(s.rows_rejected_total)
    );
    let mut table = Table::new(
        "Rejected and doubtful rows",
        &[
            ("Reason", Text),
            ("Treatment", Text),
            ("Rows", Number),
            ("Share", Number),
        ],
    );
    for (treatment, map) in [
        ("rejected", &s.rows_rejected),
        ("kept, doubtful", &s.rows_doubtful),
    ] {
        for (reason, n) in map {
            let share = *n as f64 / s.rows_read as f64;
            table
                .row()
                .cell(&reason.replace('_', " "))
                .cell(treatment)
                .number(&count(*n), n)
                .number(&percent(share.is_finite().then_some(share)), share);
        }
    }
    if table.rows() > 0 {
        out.push_str(&table.finish());
    }
    out.push_str(&corporate_actions(page));
    out
}

/// What history was adjusted by, and what the figures of these instruments count in.
fn corporate_actions(page: &Page<'_>) -> String {
    let actions = &page.data.summary.corporate_actions;
    if actions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        "Corporate actions",
        &[
            ("Instrument", Text),
            ("Ex-date", Text),
            ("Action", Text),
            ("Ratio", Text),
            ("Shares, new for old", Text),
            ("Rows adjusted", Number),
        ],
    );
    for action in actions {
        table
            .row()
            .cell(&action.instrument)
            .cell(&action.ex_date)
            .cell(&action.kind)
            .cell(&action.ratio)
            .cell(&action.shares)
            .number(&count(action.rows), action.rows);
    }
    let mut out = table.finish();
    out.push_str(
        "<p class=\"note\">Prices and quantities of these instruments, those of orders and fills \
         included, are in the shares of the last ex-date: before it prices were divided and \
         quantities multiplied. Dividends are not adjusted for.</p>",
    );
    out
}

/// Where everything came from.
pub fn provenance(page: &Page<'_>) -> String {
    let s = page.data.summary;
    let mut out = String::from("<dl class=\"facts\">");
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            put(
                &mut out,
                format_args!("<dt>{name}</dt><dd><code>{}</code></dd>", escape(value)),
            );
        }
    };
    fact("Event log hash", &s.log_hash);
    if s.log_hash_by_broker.len() > 1 {
        for (broker, hash) in &s.log_hash_by_broker {
            fact(&format!("… of {}", escape(broker)), hash);
        }
    }
    fact("Inputs digest", &s.inputs_digest);
    fact("Build", &s.build);
    fact(
        "Data from",
        s.provenance.from.as_deref().unwrap_or_default(),
    );
    fact("Data to", s.provenance.to.as_deref().unwrap_or_default());
    let speed = format!(
        "{} ticks in {} s: {} ticks/s",
        count(s.ticks),
        figure(Some(s.engine_seconds), 3),
        count(s.ticks_per_second as u64)
    );
    fact("Pipeline", &speed);
    out.push_str("</dl>");

    let files = &s.provenance.files;
    if !files.is_empty() {
        let mut table = Table::new(
            "Files",
            &[("Path", Text), ("Rows", Number), ("blake3 digest", Text)],
        );
        for file in files {
            table
                .row()
                .cell(&file.path)
                .number(&count(file.rows), file.rows)
                .cell(&file.digest);
        }
        let summary = format!("{} files", count(files.len() as u64));
        put(
            &mut out,
            format_args!(
                "<details><summary>{summary}</summary>{}</details>",
                table.finish()
            ),
        );
    }
    if !s.settings.is_null() {
        let text = serde_json::to_string_pretty(&s.settings).unwrap_or_default();
        put(
            &mut out,
            format_args!(
                "<details open><summary>Settings</summary><pre tabindex=\"0\">{}</pre></details>",
                escape(&text)
            ),
        );
    }
    out
}
