//! What is looked at before trading depends on facts about the exchanges: dates that no calendar covers,
//! rates that nobody knows, figures that nothing supports.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use feeds::report::{QualityReport, Reject};
use markets::calendar::{Gap, MarketSessions};
use model::signal::Product;
use model::{Date, InstrumentIdx, Instruments, Timestamp};
use strategies::ResolvedStrategy;

use crate::settings::{Assumption, Settings};

/// What trading is about to depend on.
pub struct Dependence<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The namespaces that take part.
    pub brokers: &'a [String],
    /// The hours of the instruments.
    pub sessions: &'a MarketSessions,
    /// The instruments.
    pub instruments: &'a Instruments,
    /// The strategies.
    pub strategies: &'a [ResolvedStrategy],
}

/// The date of an instant.
pub fn date(at: Timestamp) -> Option<Date> {
    // A date of UTC is near enough: days without a calendar come in years.
    let days = at.nanos().div_euclid(model::time::DAY);
    i32::try_from(days).ok().map(Date::from_days)
}

fn told(gap: &Gap) -> String {
    format!(
        "{}:{} from {} to {}: {}",
        gap.exchange, gap.segment, gap.from, gap.to, gap.why
    )
}

const FIX_CALENDAR: &str = "give their calendar ([markets] calendar_file = \"FILE\"), or say what is assumed ([markets] assume = [\"weekdays\"])";

impl Dependence<'_> {
    /// What the strategies trade, and as what.
    fn traded(&self) -> BTreeSet<(InstrumentIdx, Product)> {
        let of = |strategy: &'_ ResolvedStrategy| {
            let product = strategy.product();
            let all = strategy.instruments.iter();
            all.map(move |index| (*index, product)).collect::<Vec<_>>()
        };
        self.strategies.iter().flat_map(of).collect()
    }

    /// Refuses recorded data of which nobody knows when its market was open, or what trading cost. Gives
    /// what the reader of the result must know.
    pub fn check_recorded(&self, report: &QualityReport) -> anyhow::Result<Vec<String>> {
        let mut said = Vec::new();
        let unknown = report.rejected.get(Reject::UnknownSession);
        let kept: Vec<Date> = report
            .files
            .iter()
            .flat_map(|file| [file.first, file.last])
            .flatten()
            .filter_map(date)
            .collect();
        let gaps = self.sessions.gaps();
        let within = |gap: &&Gap| kept.iter().any(|day| (gap.from..=gap.to).contains(day));
        let assumed = self.settings.markets.assumed();
        if assumed.contains(&Assumption::Weekdays) {
            for gap in gaps.iter().filter(within) {
                said.push(format!(
                    "assumed that every weekday is a regular trading day on {}",
                    told(gap)
                ));
            }
        } else if unknown > 0 {
            bail!(
                "{unknown} rows are of dates of which no calendar tells whether the market was open: {FIX_CALENDAR}; `panda market status EXCHANGE --at TIME` tells what is known"
            );
        } else if let Some(gap) = gaps.iter().find(within) {
            bail!(
                "the data has dates of which no calendar tells whether the market was open, {}: {FIX_CALENDAR}",
                told(gap)
            );
        }
        for exchange in self.sessions.without_calendar() {
            said.push(format!(
                "no calendar for the exchange `{exchange}`: it counts as always open; [markets] always_open = [\"{exchange}\"] says that this is meant"
            ));
        }
        said.extend(self.free_trading());
        if let (Some(from), Some(to)) = (kept.iter().min(), kept.iter().max()) {
            said.extend(self.check_charges((*from, *to))?);
        }
        Ok(said)
    }

    /// Refuses a live session that would have to guess. Gives what the operator must know.
    pub fn check_live(&self, now: Timestamp) -> anyhow::Result<Vec<String>> {
        if let Some(assumed) = self.settings.markets.assumed().first() {
            bail!(
                "[markets] assume = [\"{}\"] is for backtests and replays: a live session guesses nothing; remove it",
                assumed.name()
            );
        }
        let without = self.sessions.without_calendar();
        if !without.is_empty() {
            bail!(
                "no calendar for {}: give one ([markets] calendar_file = \"FILE\"), or say that they never close ([markets] always_open = [...])",
                without.join(", ")
            );
        }
        let Some(today) = date(now) else {
            bail!("the clock stands outside the years of any calendar");
        };
        // A local day may be the next one already.
        if let Some(gap) = self.sessions.gap_within(today, today) {
            bail!(
                "the calendar does not know whether the market is open today, {}: extend it ([markets] calendar_file = \"FILE\")",
                told(gap)
            );
        }
        self.check_charges((today, today))
    }

    /// A backtest without costs lies, unless its reader knows.
    fn free_trading(&self) -> Option<String> {
        let exchange = self
            .traded()
            .iter()
            .map(|(index, _)| self.instruments.get(*index).exchange.as_str())
            .find(|exchange| self.settings.markets.charges.knows(exchange))?;
        let free = |name: &&String| {
            let table = self.settings.brokers.get(*name);
            table.is_some_and(|table| table.charges.name() == "none")
        };
        let name = self.brokers.iter().find(free)?;
        Some(format!(
            "trading costs nothing on `{name}`, and it does on {exchange}: [trading_engine.{name}] charges = \"contract_note\" books what it costs"
        ))
    }

    fn check_charges(&self, span: (Date, Date)) -> anyhow::Result<Vec<String>> {
        let traded = self.traded();
        let mut said = Vec::new();
        for name in self.brokers {
            let Some(schedule) = self
                .settings
                .brokers
                .get(name)
                .and_then(|table| table.schedule.as_ref())
            else {
                continue;
            };
            let all = traded.iter();
            let all = all.map(|(index, product)| (self.instruments.get(*index), *product));
            let survey = schedule.survey(all, span);
            if let Some(gap) = survey.gaps.first() {
                bail!(
                    "[trading_engine.{name}] charges = \"{}\": {gap}: add the rate ([markets] charges_file = \"FILE\"), in a backtest say [markets] assume = [\"earliest_rates\"], or choose other charges",
                    model::charges::Charges::name(schedule.as_ref())
                );
            }
            let mut by_kind: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (of, component, _) in &survey.unverified {
                by_kind
                    .entry(of.clone())
                    .or_default()
                    .push(component.name());
            }
            for (of, components) in by_kind {
                said.push(format!(
                    "charges of `{name}`: nothing but memory supports the rates of {} for {of}: check them before money depends on them; `panda charges` tells their sources, [markets] charges_file corrects them",
                    components.join(", ")
                ));
            }
        }
        if span.0 < span.1
            && self
                .settings
                .markets
                .assumed()
                .contains(&Assumption::EarliestRates)
        {
            said.push(
                "assumed that dates before the first known rate of a charge have that rate"
                    .to_owned(),
            );
        }
        Ok(said)
    }
}
