//! Which actions change which days of a data set.

use std::collections::BTreeMap;

use model::{Date, InstrumentIdx, Price, Quantity};

use super::{Action, Actions, AppliedAction, Ratio};
use crate::error::DataError;
use crate::partition::{Partition, Series};

/// An action with all of the same share behind it.
#[derive(Debug, Clone)]
struct Step {
    action: Action,
    /// What the days before this ex-date, and not before an earlier one, are adjusted by.
    shares: Ratio,
}

/// The actions that apply, by instrument and ex-date.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    steps: BTreeMap<InstrumentIdx, Vec<Step>>,
    /// What the reader must know of the others.
    warnings: Vec<String>,
}

impl Plan {
    /// Of a data set with these days. An action applies where rows of its share lie on both sides of
    /// the ex-date: with all on one side, they are in one kind of shares already.
    pub fn new(
        actions: &Actions,
        is_selected: impl Fn(InstrumentIdx) -> bool,
        days: impl IntoIterator<Item = (InstrumentIdx, Date)>,
    ) -> Result<Self, DataError> {
        let mut plan = Self::default();
        if actions.0.is_empty() {
            return Ok(plan);
        }
        let mut spans: BTreeMap<InstrumentIdx, (Date, Date)> = BTreeMap::new();
        for (instrument, day) in days {
            let span = spans.entry(instrument).or_insert((day, day));
            *span = (span.0.min(day), span.1.max(day));
        }
        for action in actions.iter().filter(|a| is_selected(a.instrument)) {
            let idle = match spans.get(&action.instrument) {
                None => "there is no data of it".to_owned(),
                Some((first, _)) if action.ex_date <= *first => {
                    format!("its data begins on {first}, in the new shares")
                }
                Some((_, last)) if action.ex_date > *last => {
                    format!("its data ends on {last}, in the old shares, and stays in them")
                }
                Some(_) => {
                    let steps = plan.steps.entry(action.instrument).or_default();
                    steps.push(Step {
                        action: action.clone(),
                        shares: action.shares,
                    });
                    continue;
                }
            };
            plan.warnings
                .push(format!("the {action} changes nothing: {idle}"));
        }
        for steps in plan.steps.values_mut() {
            let mut behind = Ratio::ONE;
            for step in steps.iter_mut().rev() {
                behind = behind.and(step.shares).ok_or_else(|| {
                    DataError::setting(
                        format!(
                            "the actions of {} multiply its shares absurdly",
                            step.action.id
                        ),
                        "correct their ratios",
                    )
                })?;
                step.shares = behind;
            }
        }
        Ok(plan)
    }

    /// What the reader must know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The actions that apply.
    pub fn applied(&self) -> impl Iterator<Item = &Action> {
        self.steps.values().flatten().map(|step| &step.action)
    }

    fn steps_after(&self, instrument: InstrumentIdx, day: Date) -> &[Step] {
        let steps = self.steps.get(&instrument).map_or(&[][..], Vec::as_slice);
        &steps[steps.partition_point(|step| step.action.ex_date <= day)..]
    }

    /// A day's rows in the shares of the last ex-date; `None` where they are in them already.
    pub fn adjust(&self, partition: &Partition) -> Result<Option<Partition>, DataError> {
        let Some(step) = self
            .steps_after(partition.instrument, partition.day)
            .first()
        else {
            return Ok(None);
        };
        let shares = step.shares;
        let (prices, quantities) = match partition.series {
            Series::Ticks => (&[0, 4, 5][..], &[1, 2, 3][..]),
            Series::Bars(_) => (&[1, 2, 3, 4][..], &[5, 6][..]),
        };
        let window = Price::MIN.raw()..=Price::MAX.raw();
        // Zero is an unknown quote and stays one.
        let price = |value| match value {
            0 => Some(0),
            value => shares.price(value).filter(|v| window.contains(v)),
        };
        let quantity = |value| shares.quantity(value).filter(|v| *v <= Quantity::MAX.raw());
        let mut adjusted = partition.clone();
        let fits = prices.iter().all(|n| adjusted.map_column(*n, price))
            && quantities.iter().all(|n| adjusted.map_column(*n, quantity));
        if fits {
            return Ok(Some(adjusted));
        }
        Err(DataError::setting(
            format!(
                "a price or quantity of {} on {} lies outside the accepted window once it is adjusted by {shares}",
                step.action.id, partition.day
            ),
            "correct the ratios of its corporate actions, or leave that day out",
        ))
    }

    /// Counts rows of a day below the actions that changed it; `counts` is in the order of
    /// [`Self::applied`].
    pub fn count(&self, instrument: InstrumentIdx, day: Date, rows: u64, counts: &mut Vec<u64>) {
        let changed = self.steps_after(instrument, day).len();
        if changed == 0 {
            return;
        }
        let end: usize = self.steps.range(..=instrument).map(|(_, s)| s.len()).sum();
        counts.resize(counts.len().max(end), 0);
        counts[end - changed..end]
            .iter_mut()
            .for_each(|n| *n += rows);
    }

    /// For reports.
    pub fn report(&self, counts: &[u64]) -> Vec<AppliedAction> {
        let of = |(at, action): (usize, &Action)| AppliedAction {
            instrument: action.id.clone(),
            ex_date: action.ex_date.to_string(),
            kind: action.kind.to_string(),
            ratio: action.announced.clone(),
            shares: action.shares.to_string(),
            rows: counts.get(at).copied().unwrap_or(0),
        };
        self.applied().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::ActionKind;
    use model::market::Timeframe;

    fn day(n: i32) -> Date {
        Date::from_days(n)
    }

    fn plan(actions: &[(i32, u64)], days: &[i32]) -> Plan {
        let of = |(ex_date, new): &(i32, u64)| Action {
            instrument: InstrumentIdx(3),
            id: "NSE:A".to_owned(),
            ex_date: day(*ex_date),
            kind: ActionKind::Split,
            announced: format!("{new}:1"),
            shares: Ratio::new(*new, 1).unwrap(),
        };
        let actions = Actions(actions.iter().map(of).collect());
        let days = days.iter().map(|n| (InstrumentIdx(3), day(*n)));
        Plan::new(&actions, |_| true, days).unwrap()
    }

    fn bars(on: i32, price: i64) -> Partition {
        let mut bars = Partition::new(Series::Bars(Timeframe::MINUTE), InstrumentIdx(3), day(on));
        bars.push(900, &[840, price, price + 7, price - 7, price + 1, 50, 60]);
        bars
    }

    #[test]
    fn a_day_is_adjusted_by_all_ex_dates_behind_it() {
        let plan = plan(&[(10, 2), (20, 5), (30, 3), (40, 7)], &[10, 12, 19, 20, 25]);
        // All data lies behind the first ex-date, and before the last two.
        let applied: Vec<_> = plan.applied().map(|a| a.ex_date).collect();
        assert_eq!(applied, [day(20)]);
        assert_eq!(plan.warnings().len(), 3);
        let price = 100_000_000;
        let adjusted = plan.adjust(&bars(19, price)).unwrap().unwrap();
        let mut wanted = bars(19, price);
        let values = [
            840,
            price / 5,
            price / 5 + 1,
            price / 5 - 1,
            price / 5,
            250,
            300,
        ];
        for (n, value) in values.into_iter().enumerate() {
            assert!(wanted.map_column(n, |_| Some(value)));
        }
        assert_eq!(adjusted, wanted);
        assert_eq!(plan.adjust(&bars(20, price)).unwrap(), None);
        let mut counts = Vec::new();
        plan.count(InstrumentIdx(3), day(19), 4, &mut counts);
        plan.count(InstrumentIdx(3), day(20), 9, &mut counts);
        assert_eq!(plan.report(&counts)[0].rows, 4);

        // 0.0004 ÷ 5 is below the lowest price that there is.
        let error = plan.adjust(&bars(19, 40_000)).unwrap_err().to_string();
        assert!(
            error.contains("NSE:A") && error.contains("accepted window"),
            "{error}"
        );
    }
}
