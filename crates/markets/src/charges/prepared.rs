//! Rates that were looked up before. Finding them walks the whole table, which is too slow for every
//! fill; between two changes of the table the answer is the same, so it is kept.

use std::sync::OnceLock;

use model::Date;
use model::signal::Product;

use super::total::OrderTotal;
use super::{ChargeError, ChargeTable, Conditions, Deed, Profile, Segment, Terms};

/// Kinds of trades that are kept. A start trades a few dozen; the walk is taken for what is above.
const KEPT_MAX: usize = 256;

/// Rates by what decides over them, found once. Slots are filled in order and never change, so
/// readers need no lock; two threads that find the same kind at once leave it twice.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// The dates on which any rate begins or has ended, rising: between two of them none changes.
    changes: Vec<Date>,
    slots: Box<[OnceLock<Kept>]>,
}

#[derive(Debug, Clone)]
struct Kept {
    /// No rate changes from the first date to the day before the last.
    span: (Option<Date>, Option<Date>),
    segment: Segment,
    product: Product,
    deed: Deed,
    exchange: String,
    /// Empty where the table knows no rates of its own for it: all those are alike.
    underlying: Option<String>,
    total: OrderTotal,
}

impl Kept {
    fn is_for(&self, terms: &Terms<'_>) -> bool {
        let (from, until) = self.span;
        from.is_none_or(|from| from <= terms.date)
            && until.is_none_or(|until| terms.date < until)
            && self.segment == terms.segment
            && self.product == terms.product
            && self.deed == terms.deed
            && self.underlying.as_deref() == terms.underlying
            && self.exchange == terms.exchange
    }
}

impl Prepared {
    /// Nothing found yet.
    pub fn new(table: &ChargeTable) -> Self {
        let rates = table.rates.iter().map(|rule| (rule.from, rule.to));
        let gst = table.gst.iter().map(|rule| (rule.from, rule.to));
        let mut changes: Vec<Date> = rates
            .chain(gst)
            .flat_map(|(from, to)| [Some(from), to.map(Date::next)])
            .flatten()
            .collect();
        changes.sort_unstable();
        changes.dedup();
        Self {
            changes,
            slots: (0..KEPT_MAX).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The dates around `date` on which the same rates hold, half-open; `None` is no bound.
    fn span(&self, date: Date) -> (Option<Date>, Option<Date>) {
        let next = self.changes.partition_point(|change| *change <= date);
        let before = next.checked_sub(1).and_then(|at| self.changes.get(at));
        (before.copied(), self.changes.get(next).copied())
    }

    /// What was found before for such trades.
    #[inline]
    pub fn get(&self, table: &ChargeTable, terms: &Terms<'_>) -> Option<&OrderTotal> {
        let alike = Terms {
            underlying: alike(table, terms.underlying),
            ..*terms
        };
        let filled = self.slots.iter().map_while(OnceLock::get);
        { filled }
            .find(|kept| kept.is_for(&alike))
            .map(|kept| &kept.total)
    }

    /// Finds what [`ChargeTable::rates`] gives, and keeps it. Gaps are not kept: their message names
    /// the very date and underlying.
    pub fn find(
        &self,
        table: &ChargeTable,
        terms: &Terms<'_>,
        conditions: Conditions,
        profile: Profile,
    ) -> Result<OrderTotal, ChargeError> {
        let total = OrderTotal::new(table.rates(terms, conditions)?, profile);
        let mut kept = Kept {
            span: self.span(terms.date),
            segment: terms.segment,
            product: terms.product,
            deed: terms.deed,
            exchange: terms.exchange.to_owned(),
            underlying: alike(table, terms.underlying).map(str::to_owned),
            total: total.clone(),
        };
        for slot in &self.slots {
            match slot.set(kept) {
                Ok(()) => break,
                Err(refused) => kept = refused,
            }
        }
        Ok(total)
    }
}

/// Underlyings without rates of their own are alike; that none is known is something else.
fn alike<'a>(table: &ChargeTable, underlying: Option<&'a str>) -> Option<&'a str> {
    underlying.map(|name| if table.names(name) { name } else { "" })
}

impl ChargeTable {
    /// Whether any rate is one for contracts on this underlying.
    fn names(&self, underlying: &str) -> bool {
        let mut named = self.rates.iter().flat_map(|rule| &rule.underlyings);
        named.any(|name| name == underlying)
    }
}
