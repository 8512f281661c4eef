//! A projection as people and programs read it.

use std::collections::BTreeMap;

use model::control::TradingState;
use model::order::OrderRole;
use model::reason::Reason;
use model::{Amount, CurrencyIdx, InstrumentIdx, NumberError, Price, Quantity, StrategyIdx};
use pipeline::engine::{Engine, Working};
use pipeline::portfolio::{self, PositionKey};
use pipeline::tally::{self, STAGES};

use crate::fold::{Projection, made};
use crate::models::{
    Account, Activity, ClosedDay, Counts, Net, Order, Overview, ParkedReport, Position, Stage,
    StrategyTotal,
};

fn working<'e>(engine: &'e Engine, key: &PositionKey) -> impl Iterator<Item = &'e Working> {
    let book = engine.book(key).map_or(&[][..], |book| book.working());
    book.iter().filter_map(|id| engine.working(*id))
}

/// The price of the first working order of a position in this role.
fn leg(engine: &Engine, key: &PositionKey, role: OrderRole) -> Option<Price> {
    let order = &working(engine, key)
        .find(|w| w.order.intent().role == role)?
        .order;
    order.trigger_price().or(order.limit_price())
}

impl Projection {
    fn strategy_name(&self, index: StrategyIdx) -> String {
        let name = self.names.strategies.get(index.index());
        name.cloned().unwrap_or_default()
    }
    fn instrument_name(&self, index: InstrumentIdx) -> String {
        self.names.instruments.get(index).id.clone()
    }
    fn currency_name(&self, index: CurrencyIdx) -> String {
        let currency = self.names.instruments.currencies().get(index.index());
        currency.map_or_else(String::new, |c| c.code().to_owned())
    }

    /// The rule that stopped trading, or `operator`; `None` where nothing did.
    fn halted_by(&self) -> Option<&'static str> {
        (self.risk.state() != TradingState::Active)
            .then(|| self.risk.automatic().map_or("operator", Reason::code))
    }

    /// That the namespace is kept from trading, and by whom, for people; `None` while it trades.
    pub fn halted(&self) -> Option<String> {
        let state = self.risk.state().name().to_uppercase();
        self.halted_by().map(|by| format!("{state} by {by}"))
    }

    fn is_open(position: &&portfolio::Position) -> bool {
        !position.quantity.is_zero()
    }

    /// A stop at the broker for all of a position. A matching engine within this process protects
    /// nothing while the process is stopped.
    fn is_protected(&self, position: &portfolio::Position, is_outside: bool) -> bool {
        let stops = working(&self.engine, &position.key)
            .filter(|w| w.order.intent().role == OrderRole::StopLoss);
        let covered: i64 = stops.map(|w| w.order.open_quantity().raw()).sum();
        is_outside && covered >= position.quantity.abs().raw()
    }

    /// Open positions, by instrument, strategy and product. `is_outside` says whether orders work at a
    /// broker outside this process.
    pub fn positions(&self, is_outside: bool) -> Vec<Position> {
        let portfolio = &self.portfolio;
        let all = portfolio.positions().iter();
        let mut open: Vec<Position> = all
            .filter(Self::is_open)
            .map(|position| {
                let key = &position.key;
                Position {
                    strategy: self.strategy_name(key.strategy),
                    instrument: self.instrument_name(key.instrument),
                    product: key.product.name(),
                    quantity: position.quantity,
                    average_price: portfolio.average_price(position),
                    cost: position.cost,
                    last_price: portfolio.last(key.instrument).price,
                    stop_price: leg(&self.engine, key, OrderRole::StopLoss),
                    target_price: leg(&self.engine, key, OrderRole::TakeProfit),
                    unrealised: portfolio.unrealised(position).ok(),
                    realised: position.realised,
                    charges: position.charges,
                    protected: self.is_protected(position, is_outside),
                }
            })
            .collect();
        open.sort_by(|a, b| {
            (&a.instrument, &a.strategy, a.product).cmp(&(&b.instrument, &b.strategy, b.product))
        });
        open
    }

    /// What a position has made since it had made `start`.
    fn since(
        &self,
        position: &portfolio::Position,
        start: Option<Amount>,
    ) -> Result<Option<Amount>, NumberError> {
        let made = made(&self.portfolio, position)?;
        start.map(|start| made.checked_sub(start)).transpose()
    }

    /// What the account holds of each instrument over all strategies, where several hold it.
    fn net(&self) -> Vec<Net> {
        let mut net: BTreeMap<String, (i128, usize)> = BTreeMap::new();
        let positions = self.portfolio.positions().iter();
        for position in positions.filter(Self::is_open) {
            let instrument = self.instrument_name(position.key.instrument);
            let (quantity, holders) = net.entry(instrument).or_default();
            *quantity += i128::from(position.quantity.raw());
            *holders += 1;
        }
        let several = net.into_iter().filter(|(_, (_, holders))| *holders > 1);
        several
            .filter_map(|(instrument, (quantity, _))| {
                let quantity = Quantity::from_raw(i64::try_from(quantity).ok()?);
                Some(Net {
                    instrument,
                    quantity,
                })
            })
            .collect()
    }

    /// One whose sums do not fit is left out.
    fn strategy_totals(&self) -> Vec<StrategyTotal> {
        let mut totals: BTreeMap<(StrategyIdx, CurrencyIdx), Result<StrategyTotal, NumberError>> =
            BTreeMap::new();
        let positions = self.portfolio.positions().iter();
        for (position, day_start) in positions.zip(&self.day_starts) {
            let strategy = position.key.strategy;
            let currency = self.names.instruments.currency(position.key.instrument);
            let total = totals.entry((strategy, currency)).or_insert_with(|| {
                Ok(StrategyTotal {
                    strategy: self.strategy_name(strategy),
                    currency: self.currency_name(currency),
                    realised: Amount::ZERO,
                    unrealised: Amount::ZERO,
                    charges: Amount::ZERO,
                    pnl_today: Some(Amount::ZERO),
                })
            });
            if let Ok(sum) = total
                && let Err(error) = self.add(sum, position, *day_start)
            {
                *total = Err(error);
            }
        }
        totals.into_values().filter_map(Result::ok).collect()
    }

    fn add(
        &self,
        total: &mut StrategyTotal,
        position: &portfolio::Position,
        day_start: Option<Amount>,
    ) -> Result<(), NumberError> {
        let unrealised = self.portfolio.unrealised(position)?;
        total.realised = total.realised.checked_add(position.realised)?;
        total.unrealised = total.unrealised.checked_add(unrealised)?;
        total.charges = total.charges.checked_add(position.charges)?;
        total.pnl_today = match (total.pnl_today, self.since(position, day_start)?) {
            (Some(sum), Some(pnl)) => Some(sum.checked_add(pnl)?),
            _ => None,
        };
        Ok(())
    }

    fn open_orders(&self) -> Vec<Order> {
        let engine = &self.engine;
        let ids = engine.working_ids().into_iter();
        let mut orders: Vec<Order> = ids
            .filter_map(|id| engine.working(id))
            .map(|working| {
                let (order, intent) = (&working.order, working.order.intent());
                Order {
                    order_id: intent.id,
                    strategy: self.strategy_name(intent.strategy),
                    instrument: self.instrument_name(intent.instrument),
                    role: intent.role.name(),
                    side: intent.side.name(),
                    status: order.status().name(),
                    quantity: order.quantity(),
                    filled: order.filled(),
                    limit_price: order.limit_price(),
                    trigger_price: order.trigger_price(),
                    submitted: intent.submitted,
                    correlation_id: intent.correlation,
                }
            })
            .collect();
        orders.sort_by(|a, b| {
            let key = |o: &Order| (o.submitted, o.order_id);
            (&a.instrument, key(a)).cmp(&(&b.instrument, key(b)))
        });
        orders
    }

    fn accounts(&self) -> Vec<Account> {
        let used = |account: &portfolio::Account| {
            [account.starting_cash, account.cash_flow, account.charges]
                .iter()
                .any(|amount| !amount.is_zero())
        };
        let all = self.portfolio.accounts().iter().enumerate();
        all.filter(|(_, account)| used(account))
            .map(|(index, account)| {
                let currency = CurrencyIdx(index as u16);
                let equity = account.equity();
                Account {
                    currency: self.currency_name(currency),
                    equity,
                    pnl_today: equity.checked_sub(account.day_base).ok(),
                    pnl_total: equity.checked_sub(account.starting_cash).ok(),
                    cash_flow: account.cash_flow,
                    starting_cash: account.starting_cash,
                    realised: account.realised,
                    unrealised: self.portfolio.snapshot(currency).map(|s| s.unrealised).ok(),
                    charges: account.charges,
                    gross_exposure: account.gross_exposure,
                    max_drawdown: account.max_drawdown,
                }
            })
            .collect()
    }

    fn closed_days(&self) -> Vec<ClosedDay> {
        let days = self.days.iter().map(|day| ClosedDay {
            date: day.date,
            currency: self.currency_name(day.currency),
            equity: day.equity,
            pnl: day.pnl,
        });
        days.collect()
    }

    fn activity(&self) -> Activity {
        let stages = STAGES.iter().zip(&self.tally.stages);
        Activity {
            total: counts(&self.tally.total),
            today: counts(&self.tally.today),
            stages: stages
                .map(|(name, activity)| {
                    let (count, last) = (activity.count, activity.last);
                    (*name, Stage { count, last })
                })
                .collect(),
        }
    }

    /// Everything at this place. `is_outside` says whether orders work at a broker outside this process.
    pub fn overview(&self, is_outside: bool) -> Overview {
        let (risk, engine) = (&self.risk, &self.engine);
        let strategies = (0..self.names.strategies.len()).map(|at| StrategyIdx(at as u32));
        let parked = engine.parked().iter().map(|p| ParkedReport {
            order_id: p.order,
            instrument: self.instrument_name(p.instrument),
            side: p.side.name(),
            quantity: p.quantity,
            price: p.price,
            last_price: p.last,
            doubt: p.doubt.name(),
            confirmed: p.confirmed,
        });
        Overview {
            state: risk.state().name(),
            halted_by: self.halted_by(),
            losses_count_since: risk.losses_since(None),
            strategies_losses_count_since: strategies
                .clone()
                .filter_map(|s| Some((self.strategy_name(s), risk.losses_since(Some(s))?)))
                .collect(),
            entries_blocked_by: risk.blocks().iter().map(|r| r.code()).collect(),
            disabled_strategies: strategies
                .filter(|s| !risk.is_enabled(*s))
                .map(|s| self.strategy_name(s))
                .collect(),
            orders_today: risk.counters().orders_today(),
            unresolved_orders: engine.unresolved().iter().map(|(id, _)| *id).collect(),
            parked_reports: parked.collect(),
            activity: self.activity(),
            positions: self.positions(is_outside),
            net: self.net(),
            strategies: self.strategy_totals(),
            open_orders: self.open_orders(),
            accounts: self.accounts(),
            closed_days: self.closed_days(),
        }
    }
}

fn counts(counts: &tally::Counts) -> Counts {
    let by_reason = |map: &BTreeMap<Reason, u64>| {
        let named = map.iter().map(|(reason, n)| (reason.code(), *n));
        named.collect()
    };
    Counts {
        orders_submitted: counts.submitted,
        fills: counts.fills,
        orders_failed: counts.failed,
        rejects: by_reason(&counts.refused),
        alerts: by_reason(&counts.alerts),
    }
}
