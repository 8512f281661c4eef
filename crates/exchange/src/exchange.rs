//! The exchange that protocols stand before: the market and the accounts that trade in it.

use std::collections::BTreeMap;

use model::order::OrderIntent;
use model::reason::Reason;
use model::trader::ReportKind;
use model::{Instrument, InstrumentIdx, Instruments, Price, Quantity, Timestamp};

use crate::account::{Account, ClientOrderId, Presented, Report};
use crate::market::{Happened, Market, OrderEvent, Owner, Quote};
use crate::rules;

/// An account keeps about so many orders; see [`Account::keeping`].
const ORDERS_KEPT: usize = 1 << 16;

/// An account's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// What came of placing an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is in the books.
    Accepted,
    /// It is refused for good.
    Refused(Reason),
}

/// Market and accounts.
#[derive(Debug)]
pub struct Exchange {
    market: Market,
    listed: BTreeMap<InstrumentIdx, Instrument>,
    accounts: Vec<(String, Account)>,
    happened: Vec<Happened>,
    resumed: bool,
}

const fn owner(account: AccountId, order: u32) -> Owner {
    Owner((account.0 as u64) << 32 | order as u64)
}

impl Exchange {
    /// Of this exchange's instruments among `instruments`; see [`Market::new`].
    pub fn new(seed: u64, changes_per_second: u32, instruments: &Instruments) -> Self {
        let market = Market::new(seed, changes_per_second, instruments);
        let listed = instruments.iter().filter(|(i, _)| market.lists(*i));
        Self {
            listed: listed
                .map(|(i, instrument)| (i, instrument.clone()))
                .collect(),
            market,
            accounts: Vec::new(),
            happened: Vec::new(),
            resumed: false,
        }
    }

    /// See [`Market::resume`].
    pub fn resume(&mut self, now: Timestamp, last: &[(InstrumentIdx, Price)]) {
        self.resumed |= !last.is_empty();
        self.market.resume(now, last);
    }

    /// Whether it has gone on from a life before, whose orders ended with it.
    pub const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// What it lists.
    pub fn listed(&self) -> impl Iterator<Item = InstrumentIdx> {
        self.listed.keys().copied()
    }

    /// Its time, once it has begun.
    pub const fn now(&self) -> Option<Timestamp> {
        self.market.now()
    }

    /// The account of a name, opened where there is none.
    pub fn account(&mut self, name: &str) -> AccountId {
        let at = self.accounts.iter().position(|(n, _)| n == name);
        AccountId(at.unwrap_or_else(|| {
            self.accounts
                .push((name.to_owned(), Account::keeping(ORDERS_KEPT)));
            self.accounts.len() - 1
        }) as u32)
    }

    /// See [`Account::tell_totals`].
    pub fn tell_totals(&mut self, account: AccountId, totals: bool) {
        if let Some(account) = self.of_mut(account) {
            account.tell_totals(totals);
        }
    }

    /// The books of the account of a name.
    pub fn named(&self, name: &str) -> Option<&Account> {
        self.accounts
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, a)| a)
    }

    /// What an account holds.
    pub fn of(&self, account: AccountId) -> Option<&Account> {
        self.accounts.get(account.0 as usize).map(|(_, a)| a)
    }

    fn of_mut(&mut self, account: AccountId) -> Option<&mut Account> {
        self.accounts.get_mut(account.0 as usize).map(|(_, a)| a)
    }

    /// Lets time pass up to and including `to`.
    pub fn advance(&mut self, to: Timestamp, out: &mut Vec<Quote>) {
        self.market.advance(to, out);
        self.take_happened();
    }

    /// See [`Market::skip`].
    pub fn skip(&mut self, to: Timestamp) {
        self.market.skip(to);
        self.take_happened();
    }

    fn take_happened(&mut self) {
        let mut happened = std::mem::take(&mut self.happened);
        self.market.take_happened(&mut happened);
        for Happened { owner, what } in happened.drain(..) {
            let (account, number) = (AccountId((owner.0 >> 32) as u32), owner.0 as u32);
            let Some(account) = self.of_mut(account) else {
                continue;
            };
            let Some(side) = account.order(number).map(|o| o.intent.side) else {
                continue;
            };
            let kind = match what {
                OrderEvent::Triggered => ReportKind::Triggered,
                OrderEvent::Filled { quantity, price } => ReportKind::Filled {
                    trade: account.next_trade(number),
                    side,
                    quantity,
                    price,
                    draws: 0,
                },
                OrderEvent::Cancelled(reason) => ReportKind::Cancelled(reason),
                OrderEvent::Expired(reason) => ReportKind::Expired(reason),
            };
            account.book(number, &kind, None);
            account.tell(number, kind, None);
        }
        self.happened = happened;
    }

    /// Places an order; the same client order id again is the same order.
    pub fn place(
        &mut self,
        account: AccountId,
        id: &ClientOrderId,
        intent: &OrderIntent,
    ) -> Placed {
        let instrument = self.listed.get(&intent.instrument);
        let refusal = match instrument {
            None => Some(Reason::InstrumentDenied),
            some => rules::refusal(intent, some),
        };
        let Some(books) = self.of_mut(account) else {
            return Placed::Refused(Reason::BrokerRejected);
        };
        let number = match books.present(id, intent, None) {
            Presented::New(number) => number,
            Presented::Known(number) => {
                let refused = books.order(number).and_then(|o| o.refused);
                return refused.map_or(Placed::Accepted, Placed::Refused);
            }
            Presented::Full => return Placed::Refused(Reason::QueueFull),
        };
        if let Some(reason) = refusal {
            books.refuse(number, reason);
            return Placed::Refused(reason);
        }
        books.book(number, &ReportKind::Acknowledged, None);
        books.tell(number, ReportKind::Acknowledged, None);
        if let Err(reason) = self.market.place(owner(account, number), intent) {
            let kind = ReportKind::Rejected(reason);
            if let Some(books) = self.of_mut(account) {
                books.book(number, &kind, None);
                books.tell(number, kind, None);
            }
        }
        self.take_happened();
        Placed::Accepted
    }

    /// Withdraws an order. One that was withdrawn before is so again; one that has ended otherwise, or
    /// is not known, is refused.
    pub fn cancel(&mut self, account: AccountId, id: &ClientOrderId) -> Placed {
        let Some((number, status)) = self.find(account, id) else {
            return Placed::Refused(Reason::UnknownOrder);
        };
        if status == model::order::OrderStatus::Cancelled {
            return Placed::Accepted;
        }
        let worked = self
            .market
            .cancel(owner(account, number), Reason::OperatorRequest);
        self.take_happened();
        if worked {
            Placed::Accepted
        } else {
            Placed::Refused(Reason::BrokerRejected)
        }
    }

    fn find(
        &self,
        account: AccountId,
        id: &ClientOrderId,
    ) -> Option<(u32, model::order::OrderStatus)> {
        let books = self.of(account)?;
        let number = books.find(id)?;
        Some((number, books.order(number)?.status))
    }

    /// Changes a working order; `quantity` is its new total.
    pub fn modify(
        &mut self,
        account: AccountId,
        id: &ClientOrderId,
        quantity: Quantity,
        limit: Option<Price>,
        trigger: Option<Price>,
    ) -> Placed {
        let Some(order) = self.of(account).and_then(|b| b.order(b.find(id)?)) else {
            return Placed::Refused(Reason::UnknownOrder);
        };
        let mut wanted = order.intent;
        wanted.quantity = quantity;
        wanted.limit_price = limit.or(order.limit_price);
        wanted.trigger_price = trigger.or(order.trigger_price);
        let left = Quantity::from_raw(quantity.raw().saturating_sub(order.filled.raw()));
        let done = order.status.is_terminal();
        let kind = ReportKind::Modified {
            quantity,
            limit_price: wanted.limit_price,
            trigger_price: wanted.trigger_price,
        };
        let Some((number, _)) = self.find(account, id) else {
            return Placed::Refused(Reason::UnknownOrder);
        };
        if done || left <= Quantity::ZERO {
            return Placed::Refused(Reason::BrokerRejected);
        }
        if let Some(reason) = rules::refusal(&wanted, self.listed.get(&wanted.instrument)) {
            return Placed::Refused(reason);
        }
        // Said before what follows from it.
        if let Some(books) = self.of_mut(account) {
            books.book(number, &kind, None);
            books.tell(number, kind, None);
        }
        let owner = owner(account, number);
        self.market
            .modify(owner, left, wanted.limit_price, wanted.trigger_price);
        self.take_happened();
        Placed::Accepted
    }

    /// What an account may know of an order; `None` where it has none of this id.
    pub fn query(&self, account: AccountId, id: &ClientOrderId) -> Option<Vec<Report>> {
        let books = self.of(account)?;
        Some(books.said(books.find(id)?))
    }

    /// Every report of the account up to `number` need not be kept.
    pub fn confirm(&mut self, account: AccountId, number: u64) {
        if let Some(books) = self.of_mut(account) {
            books.confirm(number);
        }
    }
}
