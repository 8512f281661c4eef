//! Turns the events of a run into its CSV files and its totals, in one pass.
//!
//! Rows are written as soon as they are final, so that memory does not grow with the run: what is
//! kept are live orders and waiting signals, sums per strategy and instrument, one closing equity
//! per trading day of the data, and bounded samples for the pictures. `trades.csv` holds every closed trade; the report
//! shows the first [`TRADES_MAX`].

pub mod book;
mod files;
mod orders;
mod result;
mod signals;

use std::collections::BTreeMap;
use std::path::Path;

use model::contract_note::Component;
use model::event::{Event, EventBody, OrderStep, Settled, Snapshot};
use model::ids::StrategyIdx;
use model::instrument::InstrumentIdx;
use model::money::CurrencyIdx;
use model::order::{OrderChange, OrderIntent, OrderRole};
use model::session::Sessions;
use model::signal::Signal;
use model::{Amount, Date, Price, Timestamp};
use projection::orders::Orders;
use projection::signals::Signals;
use projection::trades::{Fill, Ledger, RoundTrip};

use self::book::{Cell, Counts, CurrencyBook, DayFinder, FillMark, Incident, IncidentKind, count};
use self::files::Table;
use self::orders::{OrderFiles, multiplier};
use self::signals::SignalFile;
use crate::error::OutputError;
use crate::exact::QuantitySum;
use crate::log_hash::Names;
use crate::sampler::Thinned;

pub use self::result::{BrokerResult, Collected, CurrencyResult, OpenRow};

/// Closed trades of a namespace that are kept for the report; all are in `trades.csv`.
pub const TRADES_MAX: usize = 2_000;
/// Executions of an instrument in a namespace that are marked on its price chart.
pub const MARKS_MAX: usize = 1_000;
/// Signals of a namespace that the report shows with what was seen; all are in `signals.csv`.
pub const DECISIONS_MAX: usize = 200;
/// State changes and alerts of a namespace that are kept for the report.
pub const INCIDENTS_MAX: usize = 200;

const EQUITY: &[&str] = &[
    "ts",
    "broker",
    "currency",
    "cash_flow",
    "realised",
    "unrealised",
    "charges",
    "equity",
    "drawdown",
    "gross_exposure",
];
const TRADES: &[&str] = &[
    "opened",
    "closed",
    "broker",
    "strategy",
    "instrument",
    "product",
    "side",
    "max_quantity",
    "entry_price",
    "exit_price",
    "gross",
    "charges",
    "net",
    "currency",
    "held_seconds",
    "executions",
    "exit_role",
    "correlation_id",
];
/// Before the components: one row per trading day with charges.
const CHARGES: [&str; 7] = [
    "date",
    "broker",
    "currency",
    "fills",
    "booked",
    "adjustment",
    "total",
];

/// A namespace of the run.
#[derive(Clone, Copy)]
pub struct SpaceSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// The currency of its totals.
    pub base: CurrencyIdx,
    /// Cash at the start, by currency; none where the slice ends earlier.
    pub starting_cash: &'a [Amount],
    /// Its calendar: when a trading day ends.
    pub sessions: &'a dyn Sessions,
}

/// One namespace while the run goes on.
struct Space<'a> {
    spec: SpaceSpec<'a>,
    days: DayFinder<'a>,
    counts: Counts,
    traded_quantity: QuantitySum,
    signals: Signals,
    orders: Orders,
    ledger: Ledger,
    cells: BTreeMap<(StrategyIdx, InstrumentIdx), Cell>,
    /// By currency.
    books: Vec<CurrencyBook>,
    trades: Vec<RoundTrip>,
    marks: BTreeMap<InstrumentIdx, Thinned<FillMark>>,
    decisions: Vec<Signal>,
    incidents: Vec<Incident>,
    incidents_seen: u64,
}

/// Consumes the events of a run, of all its namespaces, in order.
pub struct Collector<'a> {
    names: Names<'a>,
    signal_file: SignalFile,
    order_files: OrderFiles,
    equity_file: Table,
    trade_file: Table,
    charges_file: Table,
    spaces: Vec<Space<'a>>,
}

impl<'a> Collector<'a> {
    /// Creates the CSV files in `dir`. Namespaces are addressed by their position in `spaces`.
    pub fn create(
        dir: &Path,
        names: Names<'a>,
        spaces: &[SpaceSpec<'a>],
    ) -> Result<Self, OutputError> {
        let currencies = names.instruments.currencies().len();
        let space = |spec: &SpaceSpec<'a>| Space {
            spec: *spec,
            days: DayFinder::new(spec.sessions),
            counts: Counts::default(),
            traded_quantity: QuantitySum::default(),
            signals: Signals::default(),
            orders: Orders::default(),
            ledger: Ledger::default(),
            cells: BTreeMap::new(),
            books: (0..currencies).map(|_| CurrencyBook::default()).collect(),
            trades: Vec::new(),
            marks: BTreeMap::new(),
            decisions: Vec::new(),
            incidents: Vec::new(),
            incidents_seen: 0,
        };
        let mut charges = CHARGES.to_vec();
        charges.extend(Component::ALL.map(Component::name));
        Ok(Self {
            names,
            signal_file: SignalFile::create(dir)?,
            order_files: OrderFiles::create(dir)?,
            equity_file: Table::create(dir, "equity.csv", EQUITY)?,
            trade_file: Table::create(dir, "trades.csv", TRADES)?,
            charges_file: Table::create(dir, "charges.csv", &charges)?,
            spaces: spaces.iter().map(space).collect(),
        })
    }

    /// Takes the next event of a namespace.
    pub fn on_event(&mut self, namespace: usize, event: &Event) -> Result<(), OutputError> {
        let space = self
            .spaces
            .get_mut(namespace)
            .ok_or(OutputError::UnknownNamespace(namespace))?;
        let (names, broker) = (&self.names, space.spec.name);
        let ts = event.ts;
        if let Some(record) = space.signals.apply(event) {
            self.signal_file.write(names, broker, &record)?;
        }
        match &event.body {
            EventBody::SignalRaw(signal) => {
                space.counts.signals += 1;
                space
                    .cell(signal.strategy, signal.decision.instrument)
                    .signals += 1;
                if space.decisions.len() < DECISIONS_MAX {
                    space.decisions.push(*signal);
                }
            }
            EventBody::SignalDeferred(_) => space.counts.deferred += 1,
            EventBody::SignalHeld { .. } => space.counts.held += 1,
            EventBody::SignalValidated(validated) => {
                space.counts.validated += 1;
                if let Some(refusal) = validated.entry_refused {
                    count(&mut space.counts.entries_refused, refusal.reason.code());
                }
            }
            EventBody::SignalRejected(refused) => {
                count(&mut space.counts.rejected, refused.refusal.reason.code());
                space.cell(refused.strategy, refused.instrument).rejected += 1;
            }
            EventBody::OrderSubmitted(intent) => {
                multiplier(names, intent.instrument)?;
                space.counts.orders += 1;
                space.cell(intent.strategy, intent.instrument).orders += 1;
                space.orders.submitted(intent);
            }
            EventBody::OrderChanged(step) => self.on_step(namespace, ts, step)?,
            EventBody::SquareOff { begins, reason, .. } => {
                if *begins {
                    count(&mut space.counts.square_offs, reason.code());
                }
            }
            // The alert before it and the halt after it tell of it.
            EventBody::TraderDetached { .. } => {}
            // Hosts block entries, backtests have none.
            EventBody::EntriesBlocked { .. } => {}
            // The alert beside it tells of it; a trader inside the pipeline is not doubted.
            EventBody::ReportParked(_) | EventBody::ReportDropped { .. } => {}
            // The broker's answer arrives as a step of the order.
            EventBody::ModifyRequested { .. } => {}
            EventBody::Snapshot(snapshot) => self.on_snapshot(namespace, ts, snapshot)?,
            EventBody::PositionSettled(settled) => {
                self.on_settlement(namespace, event, settled)?;
            }
            EventBody::ChargesAdjusted(adjustment) => {
                if let Some(book) = space.books.get_mut(adjustment.currency.index()) {
                    book.adjusted(adjustment)
                        .map_err(OutputError::number("a day's charges"))?;
                }
            }
            EventBody::StateChanged {
                from: _,
                to,
                reason,
                automatic,
                resets_losses: _,
            } => {
                let what = IncidentKind::State {
                    to: *to,
                    automatic: *automatic,
                };
                space.incident(Incident {
                    ts,
                    what,
                    reason: *reason,
                });
            }
            EventBody::StrategySwitched {
                strategy,
                enabled,
                reason,
                resets_losses: _,
            } => {
                let what = IncidentKind::Strategy {
                    strategy: *strategy,
                    enabled: *enabled,
                };
                space.incident(Incident {
                    ts,
                    what,
                    reason: *reason,
                });
            }
            EventBody::LimitReached {
                strategy,
                reason,
                breach,
                squares_off,
            } => {
                let what = IncidentKind::Limit {
                    strategy: *strategy,
                    breach: *breach,
                    squares_off: *squares_off,
                };
                space.incident(Incident {
                    ts,
                    what,
                    reason: *reason,
                });
            }
            // It answers an operator; backtests have none.
            EventBody::ResumeRefused { .. } => {}
            EventBody::Alert {
                reason,
                order,
                strategy,
            } => {
                count(&mut space.counts.alerts, reason.code());
                let what = IncidentKind::Alert {
                    order: *order,
                    strategy: *strategy,
                };
                space.incident(Incident {
                    ts,
                    what,
                    reason: *reason,
                });
            }
        }
        Ok(())
    }

    /// What follows is of before the part that is reported, until [`begin`](Self::begin): positions,
    /// orders and signals are followed, and no row is written.
    pub fn mute(&mut self) {
        self.order_files.mute();
        self.mute_tables(true);
    }

    fn mute_tables(&mut self, muted: bool) {
        self.signal_file.mute(muted);
        for table in [
            &mut self.equity_file,
            &mut self.trade_file,
            &mut self.charges_file,
        ] {
            table.mute(muted);
        }
    }

    /// The part of a namespace's journal that is reported begins at `at`, where its accounts stood at
    /// `accounts` (by currency) and the market at `prices` (by instrument). Counts and sums start
    /// again; positions and orders that are open go on, and the profit that positions have made by then
    /// is no part of the report.
    pub fn begin(
        &mut self,
        namespace: usize,
        at: Timestamp,
        accounts: &[Snapshot],
        prices: &[Price],
    ) -> Result<(), OutputError> {
        self.order_files.begin(at);
        self.mute_tables(false);
        let space = self
            .spaces
            .get_mut(namespace)
            .ok_or(OutputError::UnknownNamespace(namespace))?;
        let mut cells: BTreeMap<_, Cell> = BTreeMap::new();
        for position in space.ledger.open_positions() {
            let (strategy, instrument, _) = position.key;
            let price = prices.get(instrument.index()).copied().unwrap_or_default();
            let multiplier = multiplier(&self.names, instrument)?;
            let cell = cells.entry((strategy, instrument)).or_default();
            cell.unrealised = position
                .unrealised(price, multiplier)
                .and_then(|made| cell.unrealised.checked_sub(made))
                .map_err(OutputError::number("an open position at the beginning"))?;
        }
        space.cells = cells;
        space.counts = Counts::default();
        space.traded_quantity = QuantitySum::default();
        space.books = (0..space.books.len())
            .map(|index| CurrencyBook::from_account(accounts.get(index).copied()))
            .collect();
        space.trades.clear();
        space.marks.clear();
        space.incidents.clear();
        space.incidents_seen = 0;
        Ok(())
    }

    /// The account of a namespace as its events have left it, where no snapshot tells that: at the end
    /// of a journal, or of a part of it.
    pub fn on_end(&mut self, namespace: usize, accounts: &[Snapshot]) {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return;
        };
        for (book, account) in space.books.iter_mut().zip(accounts) {
            book.end(*account);
        }
    }

    /// A trading day of the data has ended: the equity of a namespace in a currency at its last prices,
    /// and whether it holds anything.
    pub fn on_day(
        &mut self,
        namespace: usize,
        date: Date,
        currency: CurrencyIdx,
        equity: Amount,
        holds: bool,
    ) {
        let space = self.spaces.get_mut(namespace);
        if let Some(book) = space.and_then(|s| s.books.get_mut(currency.index())) {
            book.close_day(date, equity, holds);
        }
    }

    fn on_step(
        &mut self,
        namespace: usize,
        ts: Timestamp,
        step: &OrderStep,
    ) -> Result<(), OutputError> {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return Ok(());
        };
        let broker = space.spec.name;
        let changed = space
            .orders
            .changed(ts, step)
            .map_err(|source| OutputError::Order {
                namespace: broker.to_owned(),
                source,
            })?;
        let intent = changed.intent;
        if let Some(record) = changed.finished {
            self.order_files.finished(&self.names, broker, &record)?;
        }
        if let Some(status) = changed.ended {
            count(&mut space.counts.orders_by_status, status.name());
        }
        match step.change {
            OrderChange::Filled(execution) => self.on_fill(namespace, ts, &intent, &execution)?,
            OrderChange::Cancelled(reason)
            | OrderChange::Rejected(reason)
            | OrderChange::Expired(reason)
            | OrderChange::Failed(reason) => {
                count(&mut space.counts.orders_by_reason, reason.code());
            }
            OrderChange::Acknowledged
            | OrderChange::Triggered
            | OrderChange::Modified { .. }
            | OrderChange::CancelRequested(_)
            | OrderChange::CancelRefused
            | OrderChange::ModifyRefused
            | OrderChange::Unknown => {}
        }
        Ok(())
    }

    fn on_fill(
        &mut self,
        namespace: usize,
        ts: Timestamp,
        intent: &OrderIntent,
        execution: &model::order::Execution,
    ) -> Result<(), OutputError> {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return Ok(());
        };
        let broker = space.spec.name;
        let fill = Fill {
            key: (intent.strategy, intent.instrument, intent.product),
            ts,
            side: intent.side,
            quantity: execution.quantity,
            price: execution.price,
            multiplier: multiplier(&self.names, intent.instrument)?,
            charges: execution.charges,
            role: intent.role,
            correlation: intent.correlation,
        };
        let sum = OutputError::number;
        let applied = space
            .ledger
            .apply(&fill)
            .map_err(sum("a position's cost"))?;
        space.counts.fills += 1;
        space.traded_quantity.add(fill.quantity);
        space
            .cell(intent.strategy, intent.instrument)
            .fill(&fill, &applied)
            .map_err(sum("a strategy's executions"))?;
        let currency = self.names.instruments.currency(intent.instrument);
        if let Some(book) = space.books.get_mut(currency.index()) {
            let date = space.days.date(ts);
            book.traded(date, execution.charges)
                .map_err(sum("a day's charges"))?;
        }
        let mark = FillMark {
            ts,
            strategy: intent.strategy,
            side: fill.side,
            quantity: fill.quantity,
            price: fill.price,
            role: fill.role,
        };
        let marks = || Thinned::new(MARKS_MAX);
        space
            .marks
            .entry(intent.instrument)
            .or_insert_with(marks)
            .push(mark);
        self.order_files
            .fill(&self.names, broker, ts, intent, execution, applied.notional)?;
        if let Some(trade) = applied.closed {
            if space.trades.len() < TRADES_MAX {
                space.trades.push(trade);
            }
            write_trade(&mut self.trade_file, &self.names, broker, &trade)?;
        }
        Ok(())
    }

    /// Not an execution, but the end of a trade.
    fn on_settlement(
        &mut self,
        namespace: usize,
        event: &Event,
        settled: &Settled,
    ) -> Result<(), OutputError> {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return Ok(());
        };
        let ts = event.ts;
        let fill = Fill {
            key: (settled.strategy, settled.instrument, settled.product),
            ts,
            side: model::signal::Side::of(settled.quantity).opposite(),
            quantity: settled.quantity.abs(),
            price: settled.price,
            multiplier: multiplier(&self.names, settled.instrument)?,
            charges: settled.charges,
            role: OrderRole::Settlement,
            correlation: event.correlation,
        };
        let sum = OutputError::number;
        let applied = space
            .ledger
            .apply(&fill)
            .map_err(sum("a position's cost"))?;
        space
            .cell(settled.strategy, settled.instrument)
            .settle(&fill, &applied)
            .map_err(sum("a strategy's settlements"))?;
        count(&mut space.counts.settlements, settled.basis.name());
        let currency = self.names.instruments.currency(settled.instrument);
        if let Some(book) = space.books.get_mut(currency.index()) {
            // The day that it ends is the day before this instant.
            let date = space.days.date(ts.plus(-2));
            book.settled(date, settled.charges)
                .map_err(sum("a day's charges"))?;
        }
        if let Some(trade) = applied.closed {
            if space.trades.len() < TRADES_MAX {
                space.trades.push(trade);
            }
            write_trade(&mut self.trade_file, &self.names, space.spec.name, &trade)?;
        }
        Ok(())
    }

    fn on_snapshot(
        &mut self,
        namespace: usize,
        ts: Timestamp,
        snapshot: &Snapshot,
    ) -> Result<(), OutputError> {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return Ok(());
        };
        let drawdown = snapshot
            .peak
            .checked_sub(snapshot.equity)
            .map_err(OutputError::number("peak minus equity"))?;
        self.equity_file
            .row()
            .put(ts)
            .text(space.spec.name)
            .text(self.names.currency(snapshot.currency))
            .put(snapshot.cash_flow)
            .put(snapshot.realised)
            .put(snapshot.unrealised)
            .put(snapshot.charges)
            .put(snapshot.equity)
            .put(drawdown)
            .put(snapshot.gross_exposure)
            .end()?;
        if let Some(book) = space.books.get_mut(snapshot.currency.index()) {
            book.snapshot(ts, snapshot);
        }
        Ok(())
    }

    /// Ends the run: writes the rows of signals and orders that are still open and all that is
    /// buffered, and marks open positions at the last prices that their namespace saw (by instrument;
    /// zero for none).
    pub fn finish<'p>(
        mut self,
        last_prices: impl Fn(usize) -> &'p [Price],
    ) -> Result<Collected, OutputError> {
        let mut brokers = Vec::with_capacity(self.spaces.len());
        for (namespace, mut space) in std::mem::take(&mut self.spaces).into_iter().enumerate() {
            let broker = space.spec.name;
            let signals = std::mem::take(&mut space.signals);
            let undecided = self
                .signal_file
                .finish_space(signals, &self.names, broker)?;
            let orders = std::mem::take(&mut space.orders);
            let open = self.order_files.finish_space(orders, &self.names, broker)?;
            if open > 0 {
                space.counts.orders_by_status.insert("open", open);
            }
            let result = result::broker(space, &self.names, last_prices(namespace), undecided)?;
            write_charges(&mut self.charges_file, &self.names, &result)?;
            brokers.push(result);
        }
        self.signal_file.finish()?;
        self.order_files.finish()?;
        self.equity_file.finish()?;
        self.trade_file.finish()?;
        self.charges_file.finish()?;
        Ok(Collected { brokers })
    }
}

impl Space<'_> {
    fn cell(&mut self, strategy: StrategyIdx, instrument: InstrumentIdx) -> &mut Cell {
        self.cells.entry((strategy, instrument)).or_default()
    }

    fn incident(&mut self, incident: Incident) {
        self.incidents_seen += 1;
        if self.incidents.len() < INCIDENTS_MAX {
            self.incidents.push(incident);
        }
    }
}

fn write_trade(
    table: &mut Table,
    names: &Names<'_>,
    broker: &str,
    trade: &RoundTrip,
) -> Result<(), OutputError> {
    let (strategy, instrument, product) = trade.key;
    table
        .row()
        .put(trade.opened)
        .put(trade.closed)
        .text(broker)
        .text(names.strategy(strategy))
        .text(names.instrument(instrument))
        .text(product.name())
        .text(trade.side.name())
        .put(trade.max_quantity)
        .option(trade.entry_price)
        .option(trade.exit_price)
        .put(trade.gross)
        .put(trade.charges)
        .put(trade.net)
        .text(names.currency(names.instruments.currency(instrument)))
        .put(trade.closed.since(trade.opened) / model::time::SECOND)
        .put(trade.fills)
        .text(trade.exit_role.name())
        .put(trade.correlation)
        .end()
}

/// Written at the end: a day may close when the next one has begun.
fn write_charges(
    table: &mut Table,
    names: &Names<'_>,
    broker: &BrokerResult,
) -> Result<(), OutputError> {
    for result in &broker.currencies {
        for day in &result.charges_by_day {
            let sum = OutputError::number("a day's charges");
            let (total, components) = day
                .total()
                .and_then(|total| Ok((total, day.components()?)))
                .map_err(sum)?;
            let mut row = table
                .row()
                .put(day.date)
                .text(&broker.name)
                .text(names.currency(result.currency))
                .put(day.fills)
                .put(day.booked)
                .put(day.adjustment)
                .put(total);
            for component in Component::ALL {
                // Only a close tells the components.
                row = row.option(components.map(|amounts| amounts.get(component)));
            }
            row.end()?;
        }
    }
    Ok(())
}
