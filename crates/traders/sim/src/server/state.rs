//! What all connections share: the venue, the accounts, and who speaks for each.

use std::collections::BTreeMap;

use exchange::account::{Account, ClientOrderId, ORDERS_MAX, Report};
use exchange::{Bar, Books, Exchange, Placed, Tape};
use model::order::OrderIntent;
use model::trader::Delivery;
use model::{InputId, InstrumentIdx, Instruments, OrderId, Timestamp};
use rustc_hash::FxHashMap;

use super::ServeOptions;
use super::faults::{Asked, Fault};
use crate::wire::{Mode, Passed};

/// Accounts that an exchange keeps at most; a client of one more is refused.
const ACCOUNTS_MAX: usize = 1_024;

/// Where orders meet a market.
enum Venue {
    Lockstep(BTreeMap<String, (Account, Tape)>),
    Own(Box<Exchange>),
}

pub(super) struct State {
    options: ServeOptions,
    venue: Venue,
    names: Vec<String>,
    indices: BTreeMap<String, InstrumentIdx>,
    /// The connection that speaks for an account.
    sessions: BTreeMap<String, u64>,
    connections: u64,
    attempts: FxHashMap<(OrderId, Asked), u32>,
    /// How often each order was presented, lost requests included.
    presented: FxHashMap<ClientOrderId, u32>,
    quotes: Vec<exchange::Quote>,
}

/// A connection that speaks for an account.
pub(super) struct AccountSession {
    account: String,
    number: u64,
    /// From the client's index to ours.
    table: Vec<InstrumentIdx>,
}

impl State {
    pub fn new(options: ServeOptions) -> Self {
        let mut names = Vec::new();
        let venue = match options.mode {
            Mode::Lockstep => Venue::Lockstep(BTreeMap::new()),
            Mode::Own => {
                // Our own list has no conflicts.
                let all = Instruments::new(exchange::instruments()).unwrap_or_default();
                names.extend(all.iter().map(|(_, i)| i.id.clone()));
                let (seed, rate) = (options.seed, options.changes_per_second);
                Venue::Own(Box::new(Exchange::new(seed, rate, &all)))
            }
        };
        Self {
            indices: names
                .iter()
                .cloned()
                .zip((0..).map(InstrumentIdx))
                .collect(),
            options,
            venue,
            names,
            sessions: BTreeMap::new(),
            connections: 0,
            attempts: FxHashMap::default(),
            presented: FxHashMap::default(),
            quotes: Vec::new(),
        }
    }

    /// A client introduces itself. It takes the place of whoever spoke for its account: that is gone.
    pub fn hello(
        &mut self,
        account: &str,
        delivery: Delivery,
        totals: bool,
        instruments: &[String],
    ) -> Result<AccountSession, String> {
        if delivery != self.options.delivery {
            return Err(format!(
                "this exchange is served as {:?}, and the trader's `delivery` is {delivery:?}: make them the same",
                self.options.delivery
            ));
        }
        if self.sessions.len() >= ACCOUNTS_MAX && !self.sessions.contains_key(account) {
            return Err(format!("{ACCOUNTS_MAX} accounts are open already"));
        }
        let grows = matches!(self.venue, Venue::Lockstep(_));
        let mut table = Vec::with_capacity(instruments.len());
        for name in instruments {
            let known = self.indices.get(name).copied();
            table.push(known.unwrap_or_else(|| {
                // The exchange's own market refuses orders of what it does not list.
                let index = InstrumentIdx(if grows {
                    self.names.len() as u32
                } else {
                    u32::MAX
                });
                if grows {
                    self.names.push(name.clone());
                    self.indices.insert(name.clone(), index);
                }
                index
            }));
        }
        match &mut self.venue {
            Venue::Lockstep(seats) => {
                let options = &self.options;
                let (seat, _) = seats.entry(account.to_owned()).or_insert_with(|| {
                    let tape = Tape::new(options.seed, options.report_delay, options.partial_fills);
                    (Account::default(), tape)
                });
                seat.tell_totals(totals);
            }
            Venue::Own(exchange) => {
                let account = exchange.account(account);
                exchange.tell_totals(account, totals);
            }
        }
        self.connections += 1;
        self.sessions.insert(account.to_owned(), self.connections);
        Ok(AccountSession {
            account: account.to_owned(),
            number: self.connections,
            table,
        })
    }

    /// Whether the connection still speaks for its account.
    pub fn is_heard(&self, session: &AccountSession) -> bool {
        self.sessions.get(&session.account) == Some(&session.number)
    }

    fn account(&self, session: &AccountSession) -> Option<&Account> {
        match &self.venue {
            Venue::Lockstep(seats) => seats.get(&session.account).map(|(account, _)| account),
            Venue::Own(exchange) => exchange.named(&session.account),
        }
    }

    /// How something that is asked of an order goes wrong.
    pub fn fault(&mut self, session: &AccountSession, asked: Asked, id: &ClientOrderId) -> Fault {
        match self.account(session).and_then(|a| a.reference(id)) {
            Some(order) => self.fault_of(asked, order),
            None => Fault::None,
        }
    }

    fn fault_of(&mut self, asked: Asked, order: OrderId) -> Fault {
        let Some(faults) = self.options.faults else {
            return Fault::None;
        };
        if self.attempts.len() >= 4 * ORDERS_MAX {
            self.attempts.clear();
        }
        let attempt = self.attempts.entry((order, asked)).or_default();
        *attempt = attempt.saturating_add(1);
        faults.of(order, asked, *attempt)
    }

    /// An order is presented, whether or not the request gets through.
    pub fn presented(&mut self, id: &ClientOrderId, order: OrderId) -> Fault {
        // An account that is full refuses what is new, which then need not be counted either.
        if self.presented.len() < ORDERS_MAX || self.presented.contains_key(id) {
            let count = self.presented.entry(*id).or_default();
            *count = count.saturating_add(1);
        }
        self.fault_of(Asked::Submit, order)
    }

    pub fn submit(
        &mut self,
        session: &AccountSession,
        id: &ClientOrderId,
        mut intent: OrderIntent,
    ) -> Placed {
        let index = session.table.get(intent.instrument.index()).copied();
        intent.instrument = index.unwrap_or(InstrumentIdx(u32::MAX));
        match &mut self.venue {
            Venue::Lockstep(seats) => match seats.get_mut(&session.account) {
                Some((account, tape)) if index.is_some() => tape.place(account, id, &intent),
                _ => Placed::Refused(model::reason::Reason::InstrumentDenied),
            },
            Venue::Own(exchange) => {
                let account = exchange.account(&session.account);
                exchange.place(account, id, &intent)
            }
        }
    }

    pub fn cancel(&mut self, session: &AccountSession, id: &ClientOrderId) -> Placed {
        match &mut self.venue {
            Venue::Lockstep(seats) => match seats.get_mut(&session.account) {
                Some((account, tape)) => tape.cancel(account, id),
                None => Placed::Refused(model::reason::Reason::UnknownOrder),
            },
            Venue::Own(exchange) => {
                let account = exchange.account(&session.account);
                exchange.cancel(account, id)
            }
        }
    }

    pub fn modify(
        &mut self,
        session: &AccountSession,
        id: &ClientOrderId,
        change: &traders::Modification,
    ) -> Placed {
        let (quantity, limit, trigger) =
            (change.quantity, change.limit_price, change.trigger_price);
        match &mut self.venue {
            Venue::Lockstep(seats) => match seats.get_mut(&session.account) {
                Some((account, tape)) => tape.modify(account, id, quantity, limit, trigger),
                None => Placed::Refused(model::reason::Reason::UnknownOrder),
            },
            Venue::Own(exchange) => {
                let account = exchange.account(&session.account);
                exchange.modify(account, id, quantity, limit, trigger)
            }
        }
    }

    pub fn query(&self, session: &AccountSession, id: &ClientOrderId) -> Option<Vec<Report>> {
        let account = self.account(session)?;
        Some(account.said(account.find(id)?))
    }

    /// An input is passed. Returns whether the connection ends for it.
    pub fn pass(&mut self, session: &AccountSession, input: InputId, data: &Passed) -> bool {
        let Venue::Lockstep(seats) = &mut self.venue else {
            return false;
        };
        let Some((account, tape)) = seats.get_mut(&session.account) else {
            return false;
        };
        let is_new = tape.passed().is_none_or(|passed| input > passed);
        if is_new {
            let index = session.table.get(data.instrument as usize).copied();
            let bar = Bar {
                instrument: index.unwrap_or(InstrumentIdx(u32::MAX)),
                ts: data.ts,
                open: data.open,
                high: data.high,
                low: data.low,
            };
            tape.pass(account, input, &bar);
        }
        is_new && self.options.faults.is_some_and(|f| f.drops_pass(input))
    }

    pub fn confirm(&mut self, session: &AccountSession, number: u64) {
        match &mut self.venue {
            Venue::Lockstep(seats) => {
                if let Some((account, _)) = seats.get_mut(&session.account) {
                    account.confirm(number);
                }
            }
            Venue::Own(exchange) => {
                let account = exchange.account(&session.account);
                exchange.confirm(account, number);
            }
        }
    }

    /// Gives every report above `after` to `send`, as faults want it: some twice, some executions as
    /// what they cannot have been. Returns the number of the last.
    pub fn reports(
        &self,
        session: &AccountSession,
        after: u64,
        send: &mut dyn FnMut(&Report),
    ) -> u64 {
        let Some(account) = self.account(session) else {
            return after;
        };
        if account.numbered() <= after {
            return after;
        }
        for report in account.unconfirmed(after) {
            let order = account.reference(&report.client_order_id);
            let (Some(faults), Some(order)) = (self.options.faults, order) else {
                send(report);
                continue;
            };
            let pushed = Report {
                kind: faults.pushed(order, report.number, report.kind),
                ..*report
            };
            send(&pushed);
            if faults.twice(order, report.number) {
                send(&pushed);
            }
        }
        account.numbered()
    }

    /// Lets an exchange with a market of its own live on.
    pub fn advance(&mut self, now: Timestamp) {
        if let Venue::Own(exchange) = &mut self.venue {
            self.quotes.clear();
            exchange.advance(now, &mut self.quotes);
        }
    }

    pub fn books(&self) -> Vec<(String, Books)> {
        self.sessions
            .keys()
            .filter_map(|name| {
                let (account, passed) = match &self.venue {
                    Venue::Lockstep(seats) => {
                        seats.get(name).map(|(a, tape)| (a, tape.passed()))?
                    }
                    Venue::Own(exchange) => (exchange.named(name)?, None),
                };
                Some((name.clone(), self.books_of(account, passed)))
            })
            .collect()
    }

    fn books_of(&self, account: &Account, passed: Option<InputId>) -> Books {
        let name = |i: InstrumentIdx| self.names.get(i.index()).cloned().unwrap_or_default();
        let mut books = Books::of(account, &name);
        books.passed = passed.map(|id| id.0);
        for (booked, order) in books.orders.iter_mut().zip(account.orders()) {
            let count = self.presented.get(&order.client_order_id);
            booked.presented = count.copied().unwrap_or(booked.presented);
        }
        if self.options.delivery == Delivery::QueryOnly {
            let mut again: Vec<_> = self.presented.iter().filter(|(_, n)| **n > 1).collect();
            again.sort_unstable();
            books.violations = again
                .into_iter()
                .map(|(id, n)| format!("order {id} was presented {n} times"))
                .collect();
        }
        books
    }
}
