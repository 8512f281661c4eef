//! A session's status for people: rounded, sorted, one line for one thing. `panda status --json` is exact.

use std::collections::BTreeMap;

use serde_json::Value;
use settings::zone::Zone;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// An exact number with two decimals and groups of three; what is none is left out.
fn rounded(value: &Value, key: &str) -> String {
    let Ok(exact) = text(value, key).parse::<f64>() else {
        return String::new();
    };
    let plain = format!("{:.2}", exact.abs());
    let (whole, part) = plain.split_once('.').unwrap_or((&plain, "00"));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if exact < 0.0 && plain != "0.00" {
        "-"
    } else {
        ""
    };
    format!("{sign}{grouped}.{part}")
}

fn number(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(Value::as_f64).unwrap_or(0.0)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn counts(value: &Value) -> String {
    let map: BTreeMap<String, u64> = serde_json::from_value(value.clone()).unwrap_or_default();
    map.iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The status for people, with times of their zone.
pub fn table(status: &Value, zone: &Zone) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out += &text;
        out.push('\n');
    };
    if status["running"] == false {
        line(format!(
            "{}  {}  data {}  as recorded until {}",
            text(status, "environment"),
            match status["process"].as_u64() {
                None => "no session runs".to_owned(),
                Some(process) => format!("process {process} starts or ends, and does not answer"),
            },
            text(status, "data_dir"),
            status["recorded_until"]
                .as_i64()
                .map_or_else(|| "the start".to_owned(), |at| moment(at, zone)),
        ));
        for broker in list(status, "brokers") {
            broker_table(broker, zone, &mut line);
        }
        return out;
    }
    let market = &status["market"];
    line(format!(
        "{}  {}  up {} s  process {}  data {}",
        text(status, "environment"),
        if status["live"] == true {
            "live session"
        } else {
            "replay"
        },
        number(status, "uptime_seconds"),
        number(status, "process"),
        text(status, "data_dir"),
    ));
    line(format!(
        "runner   {} inputs  {:.0}/s  {} signals  queue {}/{}  conflated {}  sync {} us  log {:.1} MB",
        number(market, "inputs"),
        number(market, "inputs_per_second"),
        number(market, "signals"),
        number(market, "queue_depth"),
        number(market, "queue_capacity"),
        number(market, "conflated"),
        number(market, "sync_us"),
        number(market, "log_bytes") / 1e6,
    ));
    if !text(market, "failed").is_empty() {
        line(format!(
            "  the market log has FAILED: {}",
            text(market, "failed")
        ));
    }
    letters(market, &mut line);
    unsaved(market, &mut line);
    for feed in list(status, "feeds") {
        line(format!(
            "feed     {}  {}  {} delivered  {} refused  {} connections  silent {} ms{}",
            text(feed, "name"),
            text(feed, "state"),
            number(feed, "delivered"),
            number(feed, "rejected"),
            number(feed, "connections"),
            number(feed, "silent_ms"),
            match text(feed, "why") {
                "" => String::new(),
                why => format!("  {why}"),
            },
        ));
    }
    for broker in list(status, "brokers") {
        broker_table(broker, zone, &mut line);
    }
    out
}

/// What could not be taken, where there is any.
fn letters(of: &Value, line: &mut impl FnMut(String)) {
    let letters = &of["dead_letters"];
    let (parked, lost) = (number(letters, "parked"), number(letters, "lost"));
    if parked > 0.0 || lost > 0.0 {
        line(format!(
            "  {parked} dead letters: `panda dlq list` shows them; {lost} could not be kept"
        ));
    }
}

/// A snapshot that could not be saved, until one is.
fn unsaved(of: &Value, line: &mut impl FnMut(String)) {
    if let Some(why) = of["snapshot_failed"].as_str() {
        line(format!(
            "  no snapshot could be saved, {} times so far: {why}",
            number(of, "snapshots_failed")
        ));
    }
}

fn moment(nanos: i64, zone: &Zone) -> String {
    zone.show(model::Timestamp(nanos))
}

/// What was done in one span of time.
fn done(activity: &Value) -> String {
    format!(
        "{} orders  {} fills  {} failed{}{}",
        number(activity, "orders_submitted"),
        number(activity, "fills"),
        number(activity, "orders_failed"),
        match counts(&activity["rejects"]) {
            none if none.is_empty() => String::new(),
            rejects => format!("  refused: {rejects}"),
        },
        match counts(&activity["alerts"]) {
            none if none.is_empty() => String::new(),
            alerts => format!("  alerts: {alerts}"),
        },
    )
}

fn broker_table(broker: &Value, zone: &Zone, line: &mut impl FnMut(String)) {
    if text(broker, "state") == "excluded" {
        let why = broker["detached"].get("why").and_then(Value::as_str);
        line(format!(
            "\nbroker   {} ({}, {})  EXCLUDED: {}",
            text(broker, "broker"),
            text(broker, "kind"),
            text(broker, "mode"),
            why.unwrap_or(""),
        ));
        return;
    }
    let head = format!(
        "\nbroker   {} ({}, {})  {}",
        text(broker, "broker"),
        text(broker, "kind"),
        text(broker, "mode"),
        match text(broker, "halted_by") {
            "" => text(broker, "state").to_owned(),
            by => format!("{} by {by}", text(broker, "state").to_uppercase()),
        },
    );
    if broker["queue_capacity"].is_null() {
        line(head);
        return rest_of_broker(broker, zone, line);
    }
    line(format!(
        "{head}  lag {}  queue {}/{}  conflated {}  {} events  sync {} us  journal {:.1} MB",
        number(broker, "lag"),
        number(broker, "queue_depth"),
        number(broker, "queue_capacity"),
        number(broker, "conflated"),
        number(broker, "events"),
        number(broker, "sync_us"),
        number(broker, "journal_bytes") / 1e6,
    ));
    if let Some(why) = broker["detached"].get("why").and_then(Value::as_str) {
        line(format!("  DETACHED: {why}"));
    }
    rest_of_broker(broker, zone, line);
}

/// What stands below a broker's head.
fn rest_of_broker(broker: &Value, zone: &Zone, line: &mut impl FnMut(String)) {
    if let Some(since) = broker["losses_count_since"].as_i64() {
        line(format!("  losses count anew since {}", moment(since, zone)));
    }
    if let Some(strategies) = broker["strategies_losses_count_since"].as_object() {
        for (strategy, since) in strategies {
            let since = since.as_i64().unwrap_or_default();
            line(format!(
                "  losses of {strategy} count anew since {}",
                moment(since, zone)
            ));
        }
    }
    letters(broker, line);
    unsaved(broker, line);
    for key in [
        "entries_blocked_by",
        "disabled_strategies",
        "unresolved_orders",
    ] {
        let all: Vec<&str> = list(broker, key).iter().filter_map(Value::as_str).collect();
        if !all.is_empty() {
            line(format!("  {}: {}", key.replace('_', " "), all.join(", ")));
        }
    }
    for parked in list(broker, "parked_reports") {
        line(format!(
            "  not booked: {} {} {} at {} (last {}) of order {}: {}",
            text(parked, "side"),
            text(parked, "quantity"),
            text(parked, "instrument"),
            text(parked, "price"),
            text(parked, "last_price"),
            text(parked, "order_id"),
            text(parked, "doubt"),
        ));
    }
    let closed = number(broker, "closed_market_data");
    if closed > 0.0 {
        line(format!(
            "  market data while the calendar says closed: {closed}"
        ));
    }
    let activity = &broker["activity"];
    if activity.is_object() {
        line(format!("  today    {}", done(&activity["today"])));
        line(format!("  in all   {}", done(activity)));
    }
    for account in list(broker, "accounts") {
        line(format!(
            "  {}  P&L today {}  total {}  equity {}  unrealised {}  charges {}  exposure {}",
            text(account, "currency"),
            rounded(account, "pnl_today"),
            rounded(account, "pnl_total"),
            rounded(account, "equity"),
            rounded(account, "unrealised"),
            rounded(account, "charges"),
            rounded(account, "gross_exposure"),
        ));
    }
    for strategy in list(broker, "strategies") {
        line(format!(
            "  {}  {}  P&L today {}  realised {}  unrealised {}  charges {}",
            text(strategy, "strategy"),
            text(strategy, "currency"),
            match rounded(strategy, "pnl_today") {
                none if none.is_empty() => "unknown".to_owned(),
                known => known,
            },
            rounded(strategy, "realised"),
            rounded(strategy, "unrealised"),
            rounded(strategy, "charges"),
        ));
    }
    let positions = list(broker, "positions");
    if !positions.is_empty() {
        line(format!(
            "  {:<20} {:<16} {:>10} {:>12} {:>12} {:>12} {:>12} {:>14}",
            "position", "strategy", "quantity", "average", "last", "stop", "target", "unrealised"
        ));
    }
    for position in positions {
        line(format!(
            "  {:<20} {:<16} {:>10} {:>12} {:>12} {:>12} {:>12} {:>14}",
            text(position, "instrument"),
            text(position, "strategy"),
            text(position, "quantity"),
            rounded(position, "average_price"),
            rounded(position, "last_price"),
            match rounded(position, "stop_price") {
                none if none.is_empty() => "none".to_owned(),
                stop => stop,
            },
            rounded(position, "target_price"),
            rounded(position, "unrealised"),
        ));
    }
    for net in list(broker, "net") {
        line(format!(
            "  {:<20} {:<16} {:>10}",
            text(net, "instrument"),
            "all: net",
            text(net, "quantity"),
        ));
    }
    let orders = list(broker, "open_orders");
    if !orders.is_empty() {
        line(format!(
            "  {:<20} {:<22} {:<4} {:>10} {:>12} {:>12} {:<12} {}",
            "order", "instrument", "side", "quantity", "limit", "trigger", "role", "status"
        ));
    }
    for order in orders {
        line(format!(
            "  {:<20} {:<22} {:<4} {:>10} {:>12} {:>12} {:<12} {}",
            text(order, "order_id"),
            text(order, "instrument"),
            text(order, "side"),
            text(order, "quantity"),
            rounded(order, "limit_price"),
            rounded(order, "trigger_price"),
            text(order, "role"),
            text(order, "status"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thirty_positions_are_legible() {
        let position = |at: usize| {
            json!({
                "instrument": format!("NSE:SHARE{at:02}"), "strategy": "mean_reversion",
                "quantity": "-1250", "average_price": "1234.56789012", "last_price": "1234.5",
                "stop_price": if at == 0 { Value::Null } else { json!("1300.05") },
                "target_price": null, "unrealised": "-1234567.891", "protected": false,
            })
        };
        let positions: Vec<Value> = (0..30).map(position).collect();
        let status = json!({ "environment": "development", "brokers": [{
            "broker": "paper", "state": "halted", "halted_by": "daily_loss",
            "positions": positions,
            "net": [{ "instrument": "NSE:SHARE00", "quantity": "-2500" }],
            "strategies": [{ "strategy": "mean_rev", "currency": "INR", "pnl_today": null, "realised": "-12.5" }],
            "accounts": [{ "currency": "INR", "pnl_today": "-1500.006", "pnl_total": "2500000", "equity": "1" }],
            "open_orders": [{ "order_id": "0k3v9a7d2m4q8r1t5w6x", "instrument": "NSE:SHARE00", "side": "buy",
                "quantity": "1250", "trigger_price": "1300.05", "role": "stop_loss", "status": "acknowledged" }],
        }]});
        let shown = table(&status, &Zone::get("UTC").unwrap());
        let rows = shown.lines().filter(|l| l.contains("mean_reversion"));
        let rows: Vec<&str> = rows.collect();
        assert_eq!(rows.len(), 30);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{shown}");
        assert!(
            rows[0].contains("1,234.57") && rows[0].contains("none"),
            "{shown}"
        );
        assert!(
            rows[1].contains("1,300.05") && rows[1].ends_with("-1,234,567.89"),
            "{shown}"
        );
        for wanted in [
            "HALTED by daily_loss",
            "P&L today -1,500.01  total 2,500,000.00",
            "all: net",
            "mean_rev  INR  P&L today unknown  realised -12.50",
        ] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        let longest = shown.lines().map(|l| l.chars().count()).max();
        assert!(longest.is_some_and(|l| l <= 140), "{longest:?}: {shown}");
    }
}
