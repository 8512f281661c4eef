//! What a trader pays and no contract note shows: the broker posts it to the account's ledger.
//!
//! Shares that leave the account cost a depository fee, once for each instrument and day. An order that
//! the broker places itself costs a fee of its own: the broker squares off intraday positions that are
//! open as their session closes, and takes orders by telephone. There is tax on both.

use model::NumberError;
use model::signal::Product;

use super::order::percent;
use super::rates::{Held, HeldGst};
use super::{Amounts, ChargeError, ChargeTable, Component, Conditions, Deed, Line, Segment, Terms};
use crate::provenance::Evidence;

/// A fee that no contract note shows, with its tax.
#[derive(Debug, Clone)]
pub struct Fee {
    held: Held,
    gst: Option<HeldGst>,
}

impl Fee {
    /// The fee and its tax.
    pub fn amounts(&self) -> Result<Amounts, NumberError> {
        let mut amounts = Amounts::default();
        let fee = self.held.rate.per_order;
        amounts.set(self.held.component, fee);
        if let Some(gst) = self.taxed() {
            amounts.set(Component::FeesGst, fee.fraction(gst.share)?);
        }
        Ok(amounts)
    }

    fn taxed(&self) -> Option<&HeldGst> {
        let gst = self.gst.as_ref();
        gst.filter(|gst| gst.on.contains(&self.held.component))
    }

    /// The fee and its tax with their rates and evidence.
    pub fn explain(&self) -> Result<Vec<Line>, NumberError> {
        let amounts = self.amounts()?;
        let component = self.held.component;
        let each = match component {
            Component::Depository => "for each share and day",
            _ => "an order",
        };
        let mut lines = vec![Line {
            component,
            amount: amounts.get(component),
            rate: format!("{} {each}", self.held.rate.per_order),
            evidence: self.held.evidence.clone(),
        }];
        lines.extend(self.taxed().map(|gst| Line {
            component: Component::FeesGst,
            amount: amounts.get(Component::FeesGst),
            rate: format!("{} of {component}", percent(gst.share)),
            evidence: gst.evidence.clone(),
        }));
        Ok(lines)
    }

    /// Of the fee and its tax, what nothing but a memory supports.
    pub fn unverified(&self) -> impl Iterator<Item = (Component, &Evidence)> {
        let fee = std::iter::once((self.held.component, &self.held.evidence));
        let gst = self.taxed().map(|gst| (Component::FeesGst, &gst.evidence));
        fee.chain(gst)
            .filter(|(_, evidence)| evidence.grade.is_unverified())
    }
}

impl ChargeTable {
    /// What a sale in delivery costs once for each instrument and day, where shares leave the account.
    pub fn depository_fee(
        &self,
        terms: &Terms<'_>,
        conditions: Conditions,
    ) -> Result<Option<Fee>, ChargeError> {
        let leaves = terms.segment == Segment::Equity
            && terms.product == Product::Delivery
            && terms.deed == Deed::Sell;
        if !leaves {
            return Ok(None);
        }
        self.fee(Component::Depository, terms, conditions)
    }

    /// What an order costs that the broker places itself.
    pub fn call_fee(
        &self,
        terms: &Terms<'_>,
        conditions: Conditions,
    ) -> Result<Option<Fee>, ChargeError> {
        if terms.deed == Deed::Exercise {
            return Ok(None);
        }
        self.fee(Component::CallAndTrade, terms, conditions)
    }

    /// `None` where the schedule does not have the component.
    fn fee(
        &self,
        component: Component,
        terms: &Terms<'_>,
        conditions: Conditions,
    ) -> Result<Option<Fee>, ChargeError> {
        let ledger = &self.schedule(terms)?.ledger;
        if !ledger.contains(&component) {
            return Ok(None);
        }
        let Ok(held) = self.held(component, terms, conditions)? else {
            return Ok(None);
        };
        let gst = if ledger.contains(&Component::FeesGst) {
            Some(self.gst(Component::FeesGst, terms, conditions)?)
        } else {
            None
        };
        Ok(Some(Fee { held, gst }))
    }
}
