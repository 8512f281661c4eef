//! What is looked at before trading depends on facts about the exchanges: dates that no calendar covers,
//! rates that nobody knows, figures that nothing supports.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use feeds::Loaded;
use feeds::report::{FileReport, Reject};
use markets::calendar::{Gap, MarketSessions};
use markets::charges::ChargeError;
use model::session::Sessions as _;
use model::signal::Product;
use model::{Date, InstrumentIdx, Instruments, Timestamp};
use settings::{Assumption, Settings};
use strategies::ResolvedStrategy;

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

/// Rows by day over all files, in words: `241 rows of 2026-11-08, 2026-12-25`; `None` without any.
fn by_day<'a>(
    files: &'a [FileReport],
    of: impl Fn(&'a FileReport) -> &'a BTreeMap<Date, u64>,
) -> Option<String> {
    const SHOWN: usize = 5;
    let mut days: BTreeMap<Date, u64> = BTreeMap::new();
    for (day, rows) in files.iter().flat_map(of) {
        *days.entry(*day).or_default() += rows;
    }
    let total: u64 = days.values().sum();
    let shown: Vec<String> = days
        .keys()
        .take(SHOWN)
        .map(ToString::to_string)
        .chain((days.len() > SHOWN).then(|| format!("and {} more days", days.len() - SHOWN)))
        .collect();
    (total > 0).then(|| format!("{total} rows of {}", shown.join(", ")))
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
    pub fn check_recorded(&self, loaded: &Loaded) -> anyhow::Result<Vec<String>> {
        let mut said = Vec::new();
        let report = &loaded.report;
        let unknown = report.rejected.get(Reject::UnknownSession);
        let days = loaded.stream.days();
        let mut gaps: Vec<&Gap> = days
            .iter()
            .filter_map(|(day, index)| self.sessions.gap_on(self.instruments.get(*index), *day))
            .collect();
        gaps.sort_by_key(|gap| (gap.from, &gap.exchange, &gap.segment));
        gaps.dedup();
        if self
            .settings
            .markets
            .assumed()
            .contains(&Assumption::Weekdays)
        {
            for gap in gaps {
                said.push(format!(
                    "assumed that every weekday is a regular trading day on {}",
                    told(gap)
                ));
            }
            if let Some(rows) = by_day(&report.files, |file| &file.unknown_days) {
                said.push(format!(
                    "{rows} were left out: a session was announced without its time, and nothing stands in for that; [markets] calendar_file gives it"
                ));
            }
        } else if unknown > 0 {
            let rows = by_day(&report.files, |file| &file.unknown_days);
            bail!(
                "{}, when no calendar tells whether the market was open: {FIX_CALENDAR}; `panda market status EXCHANGE --at TIME` tells what is known",
                rows.unwrap_or_else(|| format!("{unknown} rows are of dates"))
            );
        } else if let Some(gap) = gaps.first() {
            bail!(
                "the data has dates of which no calendar tells whether the market was open, {}: {FIX_CALENDAR}",
                told(gap)
            );
        }
        if let Some(rows) = by_day(&report.files, |file| &file.closed_days) {
            said.push(format!(
                "{rows} were left out: the calendar says that the market was closed all day; if it was not, correct the calendar ([markets] calendar_file)"
            ));
        }
        self.check_contracts()?;
        for exchange in self.sessions.without_calendar() {
            said.push(format!(
                "no calendar for the exchange `{exchange}`: it counts as always open; [markets] always_open = [\"{exchange}\"] says that this is meant"
            ));
        }
        said.extend(self.free_trading());
        let dates = days.iter().map(|(day, _)| *day);
        if let (Some(from), Some(to)) = (dates.clone().min(), dates.max()) {
            said.extend(self.check_charges((from, to))?);
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
        self.check_contracts()?;
        let Some(today) = date(now) else {
            bail!("the clock stands outside the years of any calendar");
        };
        for (_, instrument) in self.instruments.iter() {
            if self.sessions.is_known(self.sessions.group(instrument), now) {
                continue;
            }
            // A local day may be the next one already.
            let days = [today, today.next(), Date::from_days(today.days() - 1)];
            let mut gaps = days
                .iter()
                .map(|day| self.sessions.gap_on(instrument, *day));
            let gap = gaps.find_map(|gap| gap);
            bail!(
                "the calendar does not know whether the market is open today, {}: extend it ([markets] calendar_file = \"FILE\")",
                gap.map_or_else(|| instrument.exchange.clone(), told)
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

    /// Refuses contracts of which nobody can tell what becomes of them at their expiry.
    fn check_contracts(&self) -> anyhow::Result<()> {
        for (index, _) in self.traded() {
            let instrument = self.instruments.get(index);
            if self.settings.markets.rules.is_unreadable(instrument) {
                bail!(
                    "{}: what it is written on cannot be read from its symbol, so nobody can tell how it is settled, when it closes on its last day, and what it costs: write the symbol as the broker does, such as NIFTY26DEC24000CE or NIFTY26DECFUT",
                    instrument.id
                );
            }
        }
        Ok(())
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
            if let Some(gap @ (ChargeError::Underlying { .. } | ChargeError::NoSuchTrade { .. })) =
                survey.gaps.first()
            {
                bail!(
                    "[trading_engine.{name}] charges = \"{}\": {gap}",
                    model::charges::Charges::name(schedule.as_ref())
                );
            }
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
            for (exchange, rules) in &survey.unverified_notes {
                said.push(format!(
                    "charges of `{name}`: nothing but memory supports {rules} on the contract notes of {exchange}, which decide over each day's close; [markets] charges_file corrects them"
                ));
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
