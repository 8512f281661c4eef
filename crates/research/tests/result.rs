//! A generated run through everything that writes a result.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{Plan, Run, run};
use model::{Amount, Quantity};
use research::log_hash::Names;
use research::report::{ReportData, write_html};
use research::summary::Summary;

type Rows = Vec<BTreeMap<String, String>>;

fn rows(dir: &Path, name: &str) -> Rows {
    let mut reader = csv::Reader::from_path(dir.join(name)).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn sum<'r>(rows: impl IntoIterator<Item = &'r BTreeMap<String, String>>, column: &str) -> Amount {
    rows.into_iter().fold(Amount::ZERO, |total, row| {
        let value = if row[column].is_empty() {
            Amount::ZERO
        } else {
            row[column].parse().unwrap()
        };
        total.checked_add(value).unwrap()
    })
}

fn html(run: &Run) -> String {
    let names = Names {
        instruments: &run.instruments,
        strategies: &run.strategies,
    };
    let data = ReportData {
        title: "A <generated> run",
        summary: &run.summary,
        collected: &run.collected,
        prices: &run.prices,
        names,
        time_zone: "Asia/Kolkata",
    };
    let mut page = Vec::new();
    write_html(&data, &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

const TWO: Plan = Plan {
    brokers: &["paper", "second"],
    days: 8,
    pace: 20_000_000_000,
    seed: 20_210_415,
};

#[test]
fn files_totals_and_report_agree_to_the_last_unit() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(&TWO, dir.path());
    let s = &run.summary;
    assert!(
        run.events > 2_000 && s.fills > 500,
        "{} events, {} fills",
        run.events,
        s.fills
    );
    for broker in &run.collected.brokers {
        assert!(
            broker.discrepancies.is_empty(),
            "{:?}",
            broker.discrepancies
        );
    }

    let (signals, orders) = (
        rows(dir.path(), "signals.csv"),
        rows(dir.path(), "orders.csv"),
    );
    let (fills, trades) = (
        rows(dir.path(), "fills.csv"),
        rows(dir.path(), "trades.csv"),
    );
    let charges = rows(dir.path(), "charges.csv");
    assert_eq!(signals.len() as u64, s.signals);
    assert_eq!(orders.len() as u64, s.orders);
    assert_eq!(fills.len() as u64, s.fills);
    let outcomes: BTreeSet<&str> = signals.iter().map(|r| r["outcome"].as_str()).collect();
    assert_eq!(outcomes, BTreeSet::from(["rejected", "validated"]));
    assert!(
        signals
            .iter()
            .any(|r| r["deferred"] == "true" && r["outcome"] == "validated")
    );
    assert!(
        signals
            .iter()
            .all(|r| r["text"] == "=cross, \"fast\" over slow"
                && r["note"] == "fast=2.5 slow=2.25"
                && r["trigger"] == "tick")
    );
    assert_eq!(
        signals
            .iter()
            .filter(|r| r["reason"] == "order_quantity")
            .count() as u64,
        s.rejected_total
    );
    assert_eq!(s.rows_read, s.ticks + s.rows_rejected_total);

    // A fill that came after its order's cancellation is in the order's row.
    let late = |r: &&BTreeMap<String, String>| {
        r["status"] == "cancelled" && r["filled_quantity"] == r["quantity"]
    };
    assert!(orders.iter().filter(late).count() > 3);
    for broker in ["paper", "second"] {
        for currency in ["INR", "USD"] {
            let of = |rows: &Rows| -> Rows {
                let mine = |r: &&BTreeMap<String, String>| {
                    r["broker"] == broker && r["currency"] == currency
                };
                rows.iter().filter(mine).cloned().collect()
            };
            let (fills, orders, trades) = (of(&fills), of(&orders), of(&trades));
            let own = &s.by_broker[broker];
            let money = if currency == "INR" {
                &own.money
            } else {
                &own.by_currency[currency]
            };
            // What closes booked is the account's, and no fill's.
            let adjusted = money.charges_adjustment.0;
            assert_eq!(adjusted.is_zero(), currency == "USD");
            let at_fills = money.charges.0.checked_sub(adjusted).unwrap();
            assert_eq!(sum(&fills, "charges"), at_fills);
            assert_eq!(sum(&orders, "charges"), at_fills);
            let days = of(&charges);
            assert_eq!(sum(&days, "booked"), at_fills);
            assert_eq!(sum(&days, "adjustment"), adjusted);
            assert_eq!(sum(&days, "total"), money.charges.0);
            let told = days.iter().filter(|day| day["stamp_duty"] == "2");
            assert_eq!(told.count(), if currency == "INR" { 6 } else { 0 });
            let by_day = s.charges_by_day.iter();
            let by_day = by_day.filter(|r| r.broker == broker && r.currency == currency);
            assert_eq!(by_day.count(), days.len());
            assert_eq!(sum(&fills, "notional"), money.traded_value.0);
            assert_eq!(sum(&orders, "filled_value"), money.traded_value.0);
            let (buys, sells): (Rows, Rows) = fills.into_iter().partition(|r| r["side"] == "buy");
            let cash = sum(&sells, "notional")
                .checked_sub(sum(&buys, "notional"))
                .unwrap();
            assert_eq!(cash, money.cash_flow.0);
            let statistics = if currency == "INR" {
                &own.statistics
            } else {
                &own.statistics_by_currency[currency]
            };
            assert_eq!(statistics.trades as usize, trades.len());
            let net = sum(&trades, "net").to_f64() / trades.len() as f64;
            assert!((statistics.expectancy.unwrap() - net).abs() < 1e-9 * net.abs());
            let rows = |rows: &[research::summary::TableRow]| {
                let mine = rows
                    .iter()
                    .filter(|r| r.broker == broker && r.currency == currency);
                mine.fold(Amount::ZERO, |t, r| t.checked_add(r.net.0).unwrap())
            };
            let before_closes = money.net.0.checked_add(adjusted).unwrap();
            assert_eq!(rows(&s.by_strategy), before_closes);
            assert_eq!(rows(&s.by_instrument), before_closes);
        }
    }
    let quantity = fills
        .iter()
        .map(|r| i128::from(r["quantity"].parse::<Quantity>().unwrap().raw()));
    assert_eq!(quantity.sum::<i128>(), s.traded_quantity.0.0);

    // The last row of equity.csv is the namespace's own last word.
    let equity = rows(dir.path(), "equity.csv");
    let last = equity
        .iter()
        .rfind(|r| r["broker"] == "paper" && r["currency"] == "INR")
        .unwrap();
    assert_eq!(
        last["equity"],
        s.by_broker["paper"].money.equity.to_string()
    );

    let text = std::fs::read_to_string(dir.path().join("summary.json")).unwrap();
    let back: Summary = serde_json::from_str(&text).unwrap();
    // Exact numbers come back exactly; statistics are floats, which a JSON reader may round.
    assert_eq!((&back.money, &back.by_currency), (&s.money, &s.by_currency));
    assert_eq!((back.fills, &back.rejected), (s.fills, &s.rejected));
    assert_eq!(back.by_instrument.len(), s.by_instrument.len());
    assert!(text.contains(&format!("\n  \"net\": \"{}\"", s.money.net)));
    assert_eq!(s.log_hash_by_broker.len(), 2);

    // Nothing of the texts breaks out of its place, and nothing is fetched.
    let page = html(&run);
    assert_eq!(
        page.matches("</script>").count(),
        3,
        "a text closes a script"
    );
    assert!(page.contains("rsi_&lt;/script&gt;") && page.contains("A &lt;generated&gt; run"));
    assert!(!page.contains("src=\"") && !page.contains("href=\"http"));
    assert!(page.contains("Charges by day, paper · INR") && page.contains("stamp duty"));
    assert!(page.contains("looks ahead") && page.contains("NSE:M&amp;M"));
    let start = page.find("id=\"page-data\">").unwrap() + "id=\"page-data\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
    assert_eq!(data["prices"].as_array().unwrap().len(), 4);
    assert_eq!(data["equity"].as_array().unwrap().len(), 4);
    assert_eq!(
        data["segments"].as_array().unwrap().len(),
        6,
        "six sessions in eight days"
    );
}

#[test]
fn the_same_run_gives_the_same_files() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plan = Plan {
        brokers: &["paper"],
        days: 2,
        pace: 60_000_000_000,
        seed: 7,
    };
    let (first, second) = (run(&plan, a.path()), run(&plan, b.path()));
    for name in [
        "signals.csv",
        "orders.csv",
        "fills.csv",
        "equity.csv",
        "trades.csv",
        "charges.csv",
        "summary.json",
    ] {
        let read = |dir: &Path| std::fs::read(dir.join(name)).unwrap();
        assert_eq!(read(a.path()), read(b.path()), "{name}");
    }
    assert_eq!(html(&first), html(&second));
    assert_eq!(
        first.summary.log_hash,
        first.summary.log_hash_by_broker["paper"]
    );
}

#[test]
fn a_run_without_any_event_is_a_result_too() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan {
        brokers: &["paper"],
        days: 0,
        pace: 60_000_000_000,
        seed: 1,
    };
    let run = run(&plan, dir.path());
    assert_eq!((run.summary.orders, run.summary.ticks), (0, 0));
    let page = html(&run);
    assert!(page.contains("No trade was closed"));
    let json = serde_json::to_string(&run.summary).unwrap();
    assert!(json.contains("\"sharpe\":null"));
}

#[test]
fn a_settlement_ends_a_trade_and_is_no_fill() {
    use model::event::{Cause, Event, EventBody, Settled, SettlementBasis, Snapshot};
    use model::order::OrderRole;
    use model::session::AlwaysOpen;
    use model::*;
    use research::collector::{Collector, SpaceSpec};

    let dir = tempfile::tempdir().unwrap();
    let share = Instrument::share("NFO", "NIFTY26NOVFUT", "INR".parse().unwrap());
    let instruments = Instruments::new(vec![share]).unwrap();
    let strategies = ["manual", "one"].map(str::to_owned).to_vec();
    let names = Names {
        instruments: &instruments,
        strategies: &strategies,
    };
    let spec = SpaceSpec {
        name: "paper",
        base: CurrencyIdx(0),
        starting_cash: &[Amount::ZERO],
        sessions: &AlwaysOpen,
    };
    let mut collector = Collector::create(dir.path(), names, &[spec]).unwrap();
    let (quantity, day) = (Quantity::from_int(10).unwrap(), model::time::DAY);
    let mut tell = |ts, body| {
        let event = Event {
            ts: Timestamp(ts),
            correlation: CorrelationId(7),
            cause: Cause::Timer(Timestamp(ts)),
            body,
        };
        collector.on_event(0, &event).unwrap();
    };
    common::bought(quantity, Price::from_int(100).unwrap(), &mut |body| {
        tell(5, body)
    });
    let settled = Settled {
        strategy: StrategyIdx(1),
        instrument: InstrumentIdx(0),
        product: model::signal::Product::CarryForward,
        quantity,
        price: Price::from_int(103).unwrap(),
        basis: SettlementBasis::LastPrice,
        charges: Amount::from_int(2),
    };
    // One nanosecond into the next day: the charge is of the day that has ended.
    tell(day + 1, EventBody::PositionSettled(settled));
    let (profit, charges) = (Amount::from_int(30), Amount::from_int(2));
    let snapshot = Snapshot {
        sequence: 1,
        cash_flow: profit,
        realised: profit,
        charges,
        equity: Amount::from_int(28),
        peak: Amount::from_int(28),
        ..Snapshot::default()
    };
    tell(day + 1, EventBody::Snapshot(snapshot));
    let last = [Price::from_int(103).unwrap()];
    let collected = collector.finish(|_| &last).unwrap();
    let broker = &collected.brokers[0];
    assert!(
        broker.discrepancies.is_empty(),
        "{:?}",
        broker.discrepancies
    );
    assert_eq!(
        (broker.counts.fills, broker.counts.settlements["last_price"]),
        (1, 1)
    );
    assert_eq!(broker.trades[0].exit_role, OrderRole::Settlement);
    assert_eq!(
        (broker.open.len(), broker.trades[0].net),
        (0, Amount::from_int(28))
    );
    let days = rows(dir.path(), "charges.csv");
    let told = |row: &BTreeMap<String, String>| (row["date"].clone(), row["booked"].clone());
    let told: Vec<_> = days.iter().map(told).collect();
    assert_eq!(told, [("1970-01-01".to_owned(), "2".to_owned())]);
}
