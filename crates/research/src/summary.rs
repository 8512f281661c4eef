//! `summary.json`: what a run came to, with exact decimals as text and keys in a fixed order.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use feeds::AppliedAction;
use model::reason::Reason;
use model::{Amount, NumberError};
use serde::{Deserialize, Serialize};

use crate::collector::book::Cell;
use crate::collector::{BrokerResult, Collected, CurrencyResult};
use crate::error::OutputError;
use crate::exact::{Exact, QuantitySum};
use crate::log_hash::Names;
use crate::output;
use crate::statistics::Statistics;

/// Version of the file's format. It only grows.
pub const FORMAT: u16 = 1;

/// A file that the run read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileUse {
    /// Its path as given.
    pub path: String,
    /// blake3 of its content, in hexadecimal.
    pub digest: String,
    /// Rows of data in it that were read; 0 for settings and definitions.
    pub rows: u64,
}

/// What the run was made from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// First instant of the data that was used, RFC 3339.
    pub from: Option<String>,
    /// Last instant of the data that was used, RFC 3339.
    pub to: Option<String>,
    /// The files, in the order of their paths.
    pub files: Vec<FileUse>,
}

/// What the driver of a run knows and its events do not tell.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Rows of market data read, rejected ones included.
    pub rows_read: u64,
    /// Rejected rows by reason.
    pub rows_rejected: BTreeMap<String, u64>,
    /// Kept but doubtful rows by reason.
    pub rows_doubtful: BTreeMap<String, u64>,
    /// Corporate actions that changed rows.
    pub corporate_actions: Vec<AppliedAction>,
    /// Ticks that went through the pipeline.
    pub ticks: u64,
    /// Time in the pipeline, in seconds.
    pub engine_seconds: f64,
    /// Hash over every event, in order.
    pub log_hash: String,
    /// The same per namespace.
    pub log_hash_by_broker: BTreeMap<String, String>,
    /// Hash over all inputs: data, instruments, strategies, settings.
    pub inputs_digest: String,
    /// What the run was made from.
    pub provenance: Provenance,
    /// The effective settings, secrets left out.
    pub settings: serde_json::Value,
    /// What the reader must know, such as a look-ahead.
    pub warnings: Vec<String>,
    /// The build that ran.
    pub build: String,
}

/// Money in one currency.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MoneySummary {
    /// Cash at the start.
    pub starting_cash: Exact<Amount>,
    /// Sales minus purchases, without charges.
    pub cash_flow: Exact<Amount>,
    /// Profit of what was closed, before charges.
    pub realised: Exact<Amount>,
    /// Profit of what is open at the last price.
    pub unrealised: Exact<Amount>,
    /// Charges.
    pub charges: Exact<Amount>,
    /// The part of them that days' closes booked: rounding, and delivery bought and sold on one day.
    /// It belongs to no strategy and no instrument.
    #[serde(default)]
    pub charges_adjustment: Exact<Amount>,
    /// Realised + unrealised − charges.
    pub net: Exact<Amount>,
    /// Starting cash + net.
    pub equity: Exact<Amount>,
    /// Largest fall of the equity from a peak, marked on every tick. Over several namespaces, the
    /// largest of theirs.
    pub max_drawdown: Exact<Amount>,
    /// Sum of the executions' notionals.
    pub traded_value: Exact<Amount>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BrokerSummary {
    /// Currency of its totals.
    pub currency: String,
    /// Signals.
    pub signals: u64,
    /// Signals that passed.
    pub validated: u64,
    /// Signals that waited for working orders to be cancelled.
    pub deferred: u64,
    /// Signals that came with the end of a session and waited for the next one to open.
    #[serde(default)]
    pub held: u64,
    /// Refused signals by reason code.
    pub rejected: BTreeMap<String, u64>,
    /// Signals of which only the reducing part passed, by reason code.
    pub entries_refused: BTreeMap<String, u64>,
    /// Orders.
    pub orders: u64,
    /// Orders by final status; `open` for those without end.
    pub orders_by_status: BTreeMap<String, u64>,
    /// Orders by the reason code that ended them.
    pub orders_by_reason: BTreeMap<String, u64>,
    /// Executions.
    pub fills: u64,
    /// Sum of the executions' quantities.
    pub traded_quantity: Exact<QuantitySum>,
    /// Its money in its currency.
    #[serde(flatten)]
    pub money: MoneySummary,
    /// Its money in other currencies.
    pub by_currency: BTreeMap<String, MoneySummary>,
    /// Statistics in its currency.
    pub statistics: Statistics,
    /// Statistics in other currencies.
    pub statistics_by_currency: BTreeMap<String, Statistics>,
    /// Positions that were closed by schedule or command, by reason code.
    pub square_offs: BTreeMap<String, u64>,
    /// Positions that their contracts' settlement closed, by where the price came from.
    #[serde(default)]
    pub settlements: BTreeMap<String, u64>,
    /// Alerts by reason code.
    pub alerts: BTreeMap<String, u64>,
}

/// Sums of a strategy in a currency, or in an instrument.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TableRow {
    /// The namespace.
    pub broker: String,
    /// The strategy, in `by_strategy`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub strategy: Option<String>,
    /// The instrument, in `by_instrument`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instrument: Option<String>,
    /// The currency.
    pub currency: String,
    /// Signals.
    pub signals: u64,
    /// Refused signals.
    pub rejected: u64,
    /// Orders.
    pub orders: u64,
    /// Executions.
    pub fills: u64,
    /// Sum of the executions' quantities.
    pub traded_quantity: Exact<QuantitySum>,
    /// Sum of the executions' notionals.
    pub traded_value: Exact<Amount>,
    /// Sales minus purchases, without charges.
    pub cash_flow: Exact<Amount>,
    /// Profit of what was closed, before charges.
    pub realised: Exact<Amount>,
    /// Profit of what is open at the last price.
    pub unrealised: Exact<Amount>,
    /// Charges.
    pub charges: Exact<Amount>,
    /// Realised + unrealised − charges.
    pub net: Exact<Amount>,
    /// Closed trades.
    pub trades: u64,
    /// Share of closed trades with a profit after charges.
    pub win_rate: Option<f64>,
    /// Winners' profits ÷ losers' losses, after charges.
    pub profit_factor: Option<f64>,
}

/// The charges of a trading day.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChargesRow {
    /// The trading day.
    pub date: String,
    /// The namespace.
    pub broker: String,
    /// The currency.
    pub currency: String,
    /// Executions.
    pub fills: u64,
    /// What they booked.
    pub booked: Exact<Amount>,
    /// What the day's close booked beyond that.
    pub adjustment: Exact<Amount>,
    /// All of the day's charges.
    pub total: Exact<Amount>,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Version of the format.
    pub format: u16,
    /// Said first, where every signal was refused for one and the same reason: nothing else counts then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_refused: Option<String>,
    /// The build that ran.
    pub build: String,
    /// What the reader must know.
    pub warnings: Vec<String>,
    /// Rows of market data read, rejected ones included.
    pub rows_read: u64,
    /// Rejected rows by reason.
    pub rows_rejected: BTreeMap<String, u64>,
    /// Rejected rows.
    pub rows_rejected_total: u64,
    /// Kept but doubtful rows by reason.
    pub rows_doubtful: BTreeMap<String, u64>,
    /// Corporate actions that changed rows. With one, every price and quantity of its instrument,
    /// those of orders and fills included, is in the shares of the last ex-date.
    #[serde(default)]
    pub corporate_actions: Vec<AppliedAction>,
    /// Ticks that went through the pipeline.
    pub ticks: u64,
    /// Signals, over all namespaces.
    pub signals: u64,
    /// Orders, over all namespaces.
    pub orders: u64,
    /// Executions, over all namespaces.
    pub fills: u64,
    /// Refused signals by reason code, over all namespaces.
    pub rejected: BTreeMap<String, u64>,
    /// Refused signals, over all namespaces.
    pub rejected_total: u64,
    /// Sum of the executions' quantities, over all namespaces.
    pub traded_quantity: Exact<QuantitySum>,
    /// The currency of the money that follows: the first namespace's base currency.
    pub currency: String,
    /// Money in that currency, over all namespaces.
    #[serde(flatten)]
    pub money: MoneySummary,
    /// Money in every other currency, over all namespaces.
    pub by_currency: BTreeMap<String, MoneySummary>,
    /// Time in the pipeline, in seconds.
    pub engine_seconds: f64,
    /// Ticks ÷ time in the pipeline.
    pub ticks_per_second: f64,
    /// Hash over every event, in order.
    pub log_hash: String,
    /// The same per namespace.
    pub log_hash_by_broker: BTreeMap<String, String>,
    /// Hash over all inputs.
    pub inputs_digest: String,
    /// Statistics in the currency above; null with several namespaces, whose own are under
    /// `by_broker`.
    pub statistics: Option<Statistics>,
    /// The namespaces.
    pub by_broker: BTreeMap<String, BrokerSummary>,
    /// Sums per namespace, strategy and currency.
    pub by_strategy: Vec<TableRow>,
    /// Sums per namespace and instrument.
    pub by_instrument: Vec<TableRow>,
    /// Charges per trading day, namespace and currency.
    #[serde(default)]
    pub charges_by_day: Vec<ChargesRow>,
    /// What the run was made from.
    pub provenance: Provenance,
    /// The effective settings.
    pub settings: serde_json::Value,
}

impl Summary {
    /// From what was collected and what the driver knows.
    pub fn new(
        collected: &Collected,
        names: Names<'_>,
        facts: RunFacts,
    ) -> Result<Self, OutputError> {
        let mut s = Self {
            format: FORMAT,
            build: facts.build,
            warnings: facts.warnings,
            rows_read: facts.rows_read,
            rows_rejected_total: facts.rows_rejected.values().sum(),
            rows_rejected: facts.rows_rejected,
            rows_doubtful: facts.rows_doubtful,
            corporate_actions: facts.corporate_actions,
            ticks: facts.ticks,
            engine_seconds: facts.engine_seconds,
            log_hash: facts.log_hash,
            log_hash_by_broker: facts.log_hash_by_broker,
            inputs_digest: facts.inputs_digest,
            provenance: facts.provenance,
            settings: facts.settings,
            ..Self::default()
        };
        s.provenance.files.sort_by(|a, b| a.path.cmp(&b.path));
        let speed = s.ticks as f64 / s.engine_seconds;
        s.ticks_per_second = if speed.is_finite() { speed } else { 0.0 };
        if let Some(first) = collected.brokers.first() {
            s.currency = names.currency(first.base).to_owned();
        }
        let sum = || OutputError::number("the totals over all namespaces");
        for broker in &collected.brokers {
            s.warnings
                .extend(broker.discrepancies.iter().map(|d| format!("defect: {d}")));
            s.signals += broker.counts.signals;
            s.orders += broker.counts.orders;
            s.fills += broker.counts.fills;
            s.traded_quantity.0.0 = s
                .traded_quantity
                .0
                .0
                .saturating_add(broker.traded_quantity.0);
            for (code, n) in &broker.counts.rejected {
                *s.rejected.entry((*code).to_owned()).or_default() += n;
                s.rejected_total += n;
            }
            for result in &broker.currencies {
                let code = names.currency(result.currency);
                let total = if code == s.currency {
                    &mut s.money
                } else {
                    s.by_currency.entry(code.to_owned()).or_default()
                };
                total.add(result).map_err(sum())?;
                for day in &result.charges_by_day {
                    s.charges_by_day.push(ChargesRow {
                        date: day.date.to_string(),
                        broker: broker.name.clone(),
                        currency: code.to_owned(),
                        fills: day.fills,
                        booked: Exact(day.booked),
                        adjustment: Exact(day.adjustment),
                        total: Exact(day.total().map_err(sum())?),
                    });
                }
            }
            s.by_broker
                .insert(broker.name.clone(), broker_summary(broker, &names));
            for ((strategy, currency), cell) in &broker.by_strategy {
                let row = row(broker, names.currency(*currency), cell)?;
                let strategy = Some(names.strategy(*strategy).to_owned());
                s.by_strategy.push(TableRow { strategy, ..row });
            }
            for (instrument, cell) in &broker.by_instrument {
                let currency = names.currency(names.instruments.currency(*instrument));
                let row = row(broker, currency, cell)?;
                let instrument = Some(names.instrument(*instrument).to_owned());
                s.by_instrument.push(TableRow { instrument, ..row });
            }
        }
        s.by_strategy.sort_by(|a, b| {
            (&a.broker, &a.strategy, &a.currency).cmp(&(&b.broker, &b.strategy, &b.currency))
        });
        s.all_refused = s.refused_alike();
        if let [only] = collected.brokers.as_slice() {
            s.statistics = only.currencies.first().map(|c| c.statistics.clone());
        }
        Ok(s)
    }

    /// What all signals have in common, where each that was judged was refused for the same reason.
    fn refused_alike(&self) -> Option<String> {
        let (code, count) = self.rejected.first_key_value()?;
        let none_passed = self.by_broker.values().all(|broker| broker.validated == 0);
        let only = self.rejected.len() == 1 && none_passed;
        let reason = Reason::ALL.iter().find(|reason| reason.code() == code)?;
        only.then(|| {
            format!(
                "nothing was traded: all {count} signals that were judged were refused as `{code}`. {}",
                reason.text()
            )
        })
    }

    /// Writes `summary.json` into `dir`.
    pub fn write(&self, dir: &Path) -> Result<(), OutputError> {
        let path = dir.join(output::MARK);
        output::write_file(&path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n").map_err(OutputError::io(&path))
        })
    }
}

impl MoneySummary {
    fn add(&mut self, result: &CurrencyResult) -> Result<(), NumberError> {
        for (total, amount) in [
            (&mut self.starting_cash, result.start),
            (&mut self.cash_flow, result.cash_flow),
            (&mut self.realised, result.realised),
            (&mut self.unrealised, result.unrealised),
            (&mut self.charges, result.charges),
            (&mut self.charges_adjustment, result.adjustments),
            (&mut self.net, result.net),
            (&mut self.equity, result.equity),
            (&mut self.traded_value, result.traded_value),
        ] {
            total.0 = total.0.checked_add(amount)?;
        }
        self.max_drawdown.0 = self.max_drawdown.0.max(result.max_drawdown);
        Ok(())
    }
}

impl From<&CurrencyResult> for MoneySummary {
    fn from(result: &CurrencyResult) -> Self {
        Self {
            starting_cash: Exact(result.start),
            cash_flow: Exact(result.cash_flow),
            realised: Exact(result.realised),
            unrealised: Exact(result.unrealised),
            charges: Exact(result.charges),
            charges_adjustment: Exact(result.adjustments),
            net: Exact(result.net),
            equity: Exact(result.equity),
            max_drawdown: Exact(result.max_drawdown),
            traded_value: Exact(result.traded_value),
        }
    }
}

fn owned(map: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    map.iter()
        .map(|(code, n)| ((*code).to_owned(), *n))
        .collect()
}

fn broker_summary(broker: &BrokerResult, names: &Names<'_>) -> BrokerSummary {
    let mut summary = BrokerSummary {
        currency: names.currency(broker.base).to_owned(),
        signals: broker.counts.signals,
        validated: broker.counts.validated,
        deferred: broker.counts.deferred,
        held: broker.counts.held,
        rejected: owned(&broker.counts.rejected),
        entries_refused: owned(&broker.counts.entries_refused),
        orders: broker.counts.orders,
        orders_by_status: owned(&broker.counts.orders_by_status),
        orders_by_reason: owned(&broker.counts.orders_by_reason),
        fills: broker.counts.fills,
        traded_quantity: Exact(broker.traded_quantity),
        square_offs: owned(&broker.counts.square_offs),
        settlements: owned(&broker.counts.settlements),
        alerts: owned(&broker.counts.alerts),
        ..BrokerSummary::default()
    };
    for result in &broker.currencies {
        let (money, statistics) = (MoneySummary::from(result), result.statistics.clone());
        if result.currency == broker.base {
            (summary.money, summary.statistics) = (money, statistics);
        } else {
            let code = names.currency(result.currency);
            summary.by_currency.insert(code.to_owned(), money);
            summary
                .statistics_by_currency
                .insert(code.to_owned(), statistics);
        }
    }
    summary
}

fn row(broker: &BrokerResult, currency: &str, cell: &Cell) -> Result<TableRow, OutputError> {
    Ok(TableRow {
        broker: broker.name.clone(),
        strategy: None,
        instrument: None,
        currency: currency.to_owned(),
        signals: cell.signals,
        rejected: cell.rejected,
        orders: cell.orders,
        fills: cell.fills,
        traded_quantity: Exact(cell.traded_quantity),
        traded_value: Exact(cell.traded_value),
        cash_flow: Exact(cell.cash_flow),
        realised: Exact(cell.realised),
        unrealised: Exact(cell.unrealised),
        charges: Exact(cell.charges),
        net: Exact(cell.net().map_err(OutputError::number("net profit"))?),
        trades: cell.trades.closed,
        win_rate: cell.trades.win_rate(),
        profit_factor: cell.trades.profit_factor(),
    })
}
