//! The rates that hold for one kind of trade on one date.

use model::Date;
use model::signal::Product;

use super::{
    ChargeError, ChargeTable, Component, Conditions, Deed, GstRule, Rate, RateRule, Schedule,
    Segment,
};
use crate::provenance::{Evidence, Grade};

/// What decides over the rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms<'a> {
    /// The exchange's code.
    pub exchange: &'a str,
    /// What is traded.
    pub segment: Segment,
    /// What it is held as.
    pub product: Product,
    /// Bought, sold or exercised.
    pub deed: Deed,
    /// What a derivative is written on.
    pub underlying: Option<&'a str>,
    /// The trading day.
    pub date: Date,
}

impl Terms<'_> {
    fn told(&self) -> String {
        let product = self.product.name();
        let deed = self.deed.name();
        let (exchange, segment) = (self.exchange, self.segment);
        match self.underlying {
            Some(underlying) => format!("{exchange} {segment} on {underlying}, {product}, {deed}"),
            None => format!("{exchange} {segment}, {product}, {deed}"),
        }
    }
}

/// One component's rate with its evidence.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub component: Component,
    pub rate: Rate,
    pub evidence: Evidence,
}

/// The rates of one kind of trade on one date.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Without GST.
    pub(super) held: Vec<Held>,
    /// Components that such a trade does not pay, with what says so.
    pub(super) free: Vec<(Component, Evidence)>,
    pub(super) gst: Option<HeldGst>,
}

#[derive(Debug, Clone)]
pub(super) struct HeldGst {
    pub share: i64,
    pub on: Vec<Component>,
    pub evidence: Evidence,
}

impl Rates {
    pub(super) fn rate(&self, component: Component) -> Option<&Rate> {
        let held = self.held.iter().find(|held| held.component == component);
        held.map(|held| &held.rate)
    }

    /// The components whose evidence is nobody's but a memory: live money that depends on them
    /// deserves a warning.
    pub fn unverified(&self) -> impl Iterator<Item = (Component, &Evidence)> {
        let gst = self.gst.iter().map(|gst| (Component::Gst, &gst.evidence));
        let held = self
            .held
            .iter()
            .map(|held| (held.component, &held.evidence));
        held.chain(gst)
            .filter(|(_, evidence)| evidence.grade.is_unverified())
    }
}

impl RateRule {
    /// Whether the rule speaks of such trades at all, date and deed apart.
    fn concerns(&self, terms: &Terms<'_>, in_debit: bool) -> bool {
        self.segments.contains(&terms.segment)
            && self.exchanges.iter().any(|e| e == terms.exchange)
            && (self.products.is_empty() || self.products.contains(&terms.product))
            && (in_debit || !self.needs_debit)
            && (self.underlyings.is_empty()
                || terms
                    .underlying
                    .is_some_and(|name| self.underlyings.iter().any(|u| u == name)))
    }

    fn holds_for(&self, deed: Deed) -> bool {
        match self.deeds.as_slice() {
            [] => deed != Deed::Exercise,
            deeds => deeds.contains(&deed),
        }
    }

    /// Whether it speaks of trades, or of exercises, as the deed is one.
    fn is_of_kind(&self, deed: Deed) -> bool {
        let exercise = self.deeds.contains(&Deed::Exercise);
        match deed {
            Deed::Exercise => exercise,
            _ => !exercise || self.deeds.len() > 1,
        }
    }

    fn holds_on(&self, date: Date) -> bool {
        self.from <= date && self.to.is_none_or(|to| date <= to)
    }

    fn order(&self) -> (u8, bool, bool, Date) {
        let special = !self.underlyings.is_empty();
        (self.layer, self.needs_debit, special, self.from)
    }
}

fn spans<'a>(spans: impl Iterator<Item = (Date, Option<Date>)> + 'a) -> String {
    let mut spans: Vec<String> = spans
        .map(|(from, to)| match to {
            Some(to) => format!("{from} to {to}"),
            None => format!("from {from}"),
        })
        .collect();
    spans.sort_unstable();
    spans.dedup();
    if spans.is_empty() {
        "no date is covered".to_owned()
    } else {
        format!("covered: {}", spans.join(", "))
    }
}

fn assumed(from: Date) -> Evidence {
    Evidence::new(
        Some(format!("assumed: the first known rate, from {from}")),
        Some(Grade::Unverified),
    )
}

impl ChargeTable {
    pub(super) fn schedule(&self, terms: &Terms<'_>) -> Result<&Schedule, ChargeError> {
        let found = self.schedules.iter().rev();
        found
            .clone()
            .find(|s| s.exchanges.iter().any(|e| e == terms.exchange))
            .ok_or_else(|| ChargeError::Gap {
                component: "schedule",
                of: terms.told(),
                date: terms.date,
                covered: format!(
                    "charges are known for {}",
                    found
                        .flat_map(|s| s.exchanges.iter().map(String::as_str))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            })
    }

    /// The rates of a kind of trade, or the gap.
    pub fn rates(&self, terms: &Terms<'_>, conditions: Conditions) -> Result<Rates, ChargeError> {
        let schedule = self.schedule(terms)?;
        let mut rates = Rates {
            held: Vec::with_capacity(schedule.components.len()),
            free: Vec::new(),
            gst: None,
        };
        let mut is_told = false;
        for component in &schedule.components {
            if *component == Component::Gst {
                rates.gst = Some(self.gst(*component, terms, conditions)?);
            } else {
                match self.held(*component, terms, conditions)? {
                    Ok(held) => {
                        is_told = true;
                        rates.held.push(held);
                    }
                    Err(evidence) => rates.free.push((*component, evidence)),
                }
            }
        }
        if is_told {
            return Ok(rates);
        }
        // Only an exercise can have no rate at all without a component having been missed.
        Err(ChargeError::Gap {
            component: "schedule",
            of: terms.told(),
            date: terms.date,
            covered: "no component names it".to_owned(),
        })
    }

    /// A component's rate, or what says that such a trade does not pay it.
    pub(super) fn held(
        &self,
        component: Component,
        terms: &Terms<'_>,
        conditions: Conditions,
    ) -> Result<Result<Held, Evidence>, ChargeError> {
        let rules = || {
            self.rates
                .iter()
                .filter(|r| r.component == component && r.concerns(terms, conditions.in_debit))
        };
        if terms.underlying.is_none()
            && terms.segment != Segment::Equity
            && let Some(named) = self.named(component, terms)
        {
            return Err(ChargeError::Underlying {
                component: component.name(),
                of: terms.told(),
                named,
            });
        }
        let mut date = terms.date;
        let mut evidence = None;
        if !rules().any(|rule| rule.holds_on(date)) {
            let first = rules().map(|rule| rule.from).min();
            match first {
                Some(first) if conditions.assume_earliest_rates && terms.date < first => {
                    date = first;
                    evidence = Some(assumed(first));
                }
                None => {
                    return Err(ChargeError::NoSuchTrade {
                        component: component.name(),
                        of: terms.told(),
                    });
                }
                Some(_) => {
                    return Err(ChargeError::Gap {
                        component: component.name(),
                        of: terms.told(),
                        date: terms.date,
                        covered: spans(rules().map(|rule| (rule.from, rule.to))),
                    });
                }
            }
        }
        let holds = || rules().filter(|rule| rule.holds_on(date));
        // What a user's file says of a component replaces what is said of it below: also that the
        // sides which it does not name are free.
        let alike = || holds().filter(|rule| rule.is_of_kind(terms.deed));
        let layer = alike().map(|rule| rule.layer).max();
        let rule = alike()
            .filter(|rule| Some(rule.layer) == layer && rule.holds_for(terms.deed))
            .max_by_key(|rule| rule.order());
        let Some(rule) = rule else {
            let nearest = alike().max_by_key(|rule| rule.order());
            let nearest = nearest.or_else(|| holds().max_by_key(|rule| rule.order()));
            let nearest = nearest.map(|rule| rule.evidence.clone());
            return Ok(Err(evidence
                .or(nearest)
                .unwrap_or_else(|| Evidence::new(None, None))));
        };
        Ok(Ok(Held {
            component,
            rate: rule.rate,
            evidence: evidence.unwrap_or_else(|| rule.evidence.clone()),
        }))
    }

    /// The underlyings with a rate of their own among trades that are otherwise like these.
    fn named(&self, component: Component, terms: &Terms<'_>) -> Option<String> {
        let mut named: Vec<&str> = self
            .rates
            .iter()
            .filter(|rule| {
                rule.component == component
                    && rule.holds_on(terms.date)
                    && rule.segments.contains(&terms.segment)
                    && rule.exchanges.iter().any(|e| e == terms.exchange)
            })
            .flat_map(|rule| rule.underlyings.iter().map(String::as_str))
            .collect();
        named.sort_unstable();
        named.dedup();
        (!named.is_empty()).then(|| named.join(", "))
    }

    pub(super) fn gst(
        &self,
        component: Component,
        terms: &Terms<'_>,
        conditions: Conditions,
    ) -> Result<HeldGst, ChargeError> {
        let all = || self.gst.iter().filter(|gst| gst.component == component);
        let of = |date: Date| {
            all()
                .filter(|g| g.from <= date && g.to.is_none_or(|to| date <= to))
                .max_by_key(|g| (g.layer, g.from))
        };
        let held = |gst: &GstRule, evidence| HeldGst {
            share: gst.share,
            on: gst.on.clone(),
            evidence,
        };
        if let Some(gst) = of(terms.date) {
            return Ok(held(gst, gst.evidence.clone()));
        }
        let first = all().map(|gst| gst.from).min();
        if let Some(first) = first.filter(|first| terms.date < *first)
            && conditions.assume_earliest_rates
            && let Some(gst) = of(first)
        {
            return Ok(held(gst, assumed(first)));
        }
        Err(ChargeError::Gap {
            component: component.name(),
            of: terms.told(),
            date: terms.date,
            covered: spans(all().map(|gst| (gst.from, gst.to))),
        })
    }
}
