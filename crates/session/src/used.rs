//! Which of the listed instruments a start knows: a broker's dump lists 150,000, and every record of a start
//! holds those that are known.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use feeds::Loaded;
use markets::rules::FnoNames;
use model::instrument::LookupError;
use model::{Instrument, InstrumentIdx, Instruments};
use pipeline::risk::LimitSettings;
use runtime::tables::Known;
use settings::Settings;
use strategies::ResolvedStrategy;

use crate::compose;

/// The instruments of a start, and how those of the list read under it.
pub struct Used {
    /// What strategies, limits, recorded data or earlier starts name.
    pub instruments: Instruments,
    /// By index in the list.
    pub map: Vec<Option<InstrumentIdx>>,
}

/// Today's instruments and those that earlier starts knew: positions may be in them.
pub fn listed(today: &Instruments, known: &Known) -> anyhow::Result<Instruments> {
    let mut all: BTreeMap<&str, Instrument> = today
        .iter()
        .map(|(_, i)| (i.id.as_str(), i.clone()))
        .collect();
    for (id, instrument) in &known.instruments {
        all.entry(id).or_insert_with(|| Instrument {
            // Its other names may mean something else by now.
            aliases: Vec::new(),
            ..instrument.clone()
        });
    }
    let all = Instruments::new(all.into_values().collect())?;
    Ok(all.with_left_out(today.left_out().clone()))
}

/// Takes from a list what is used, and gives the strategies the indices of that. The simulated exchange's own list is
/// used whole, as it is what its feed delivers.
pub fn used(
    settings: &Settings,
    brokers: &[String],
    listed: &Instruments,
    strategies: &mut [ResolvedStrategy],
    recorded: Option<&Loaded>,
    known: &Known,
) -> anyhow::Result<Used> {
    let mut wanted: BTreeSet<InstrumentIdx> = BTreeSet::new();
    if settings.live.instruments.is_none() {
        wanted.extend(listed.iter().map(|(index, _)| index));
    }
    wanted.extend(
        strategies
            .iter()
            .flat_map(|s| s.instruments.iter().copied()),
    );
    if let Some(loaded) = recorded {
        wanted.extend(loaded.stream.days().into_iter().map(|(_, index)| index));
    }
    wanted.extend(
        known
            .instruments
            .keys()
            .filter_map(|id| listed.find(id).ok()),
    );
    let mut limits: Vec<LimitSettings> = Vec::new();
    limits.extend(brokers.iter().map(|name| settings.limits(name)));
    for strategy in strategies.iter() {
        limits.extend(compose::limit_settings(strategy)?);
    }
    for name in limits.iter().flat_map(|l| l.allow.iter().chain(&l.deny)) {
        match listed.find(name) {
            Ok(index) => {
                wanted.insert(index);
            }
            // It stays as ambiguous as it is in the list.
            Err(LookupError::Ambiguous { candidates, .. }) => {
                wanted.extend(candidates.iter().filter_map(|id| listed.find(id).ok()));
            }
            // Told as the limits are resolved.
            Err(LookupError::Unknown { .. } | LookupError::LeftOut { .. }) => {}
        }
    }
    // There is an account in every currency of the list, and a limit may be in it.
    let (mut quoted, currencies) = (BTreeSet::new(), listed.currencies().len());
    quoted.extend(wanted.iter().map(|index| listed.currency(*index)));
    for (index, _) in listed.iter() {
        if quoted.len() == currencies {
            break;
        }
        if quoted.insert(listed.currency(index)) {
            wanted.insert(index);
        }
    }
    // Whether contracts are written on a share is known from the contracts of the whole list.
    let names = FnoNames::of(&settings.markets.rules, listed);
    let mut map = vec![None; listed.len()];
    let mut all = Vec::with_capacity(wanted.len());
    for (at, index) in wanted.into_iter().enumerate() {
        // Both are in the order of their ids.
        map[index.index()] = Some(InstrumentIdx(at as u32));
        let instrument = listed.get(index);
        all.push(Instrument {
            fno: if names.holds(instrument) {
                Some(true)
            } else {
                instrument.fno
            },
            ..instrument.clone()
        });
    }
    for strategy in strategies {
        for index in &mut strategy.instruments {
            *index = map[index.index()].context("a strategy's instrument is not used")?;
        }
    }
    let instruments = Instruments::new(all)?.with_left_out(listed.left_out().clone());
    Ok(Used { instruments, map })
}

#[cfg(test)]
mod tests {
    use model::AssetClass;
    use strategies::KindRegistry;

    use super::*;

    fn listed() -> Instruments {
        let share = |symbol: &str, currency: &str| {
            Instrument::share("NSE", symbol, currency.parse().unwrap())
        };
        let of = |symbol: &str, asset_class| Instrument {
            asset_class,
            ..share(symbol, "INR")
        };
        let mut all: Vec<Instrument> = (0..9).map(|n| share(&format!("S{n}"), "INR")).collect();
        all.push(share("US1", "USD"));
        all.push(share("US2", "USD"));
        all.push(of("S326DECFUT", AssetClass::Futures));
        all.push(of("USDINR", AssetClass::Currency));
        all.push(of("EURINR", AssetClass::Currency));
        Instruments::new(all).unwrap()
    }

    /// What is used of the list under these settings, with definitions as YAML.
    fn found(settings: &str, definitions: &str, known: &Known) -> (Used, Vec<ResolvedStrategy>) {
        let settings = Settings::parse(settings, "test").unwrap();
        let listed = super::listed(&listed(), known).unwrap();
        let definitions = strategies::parse("test", definitions).unwrap();
        let kinds = KindRegistry::built_in();
        let mut strategies = strategies::resolve(definitions, &listed, &kinds).unwrap();
        let brokers = ["paper".to_owned()];
        let used = used(&settings, &brokers, &listed, &mut strategies, None, known).unwrap();
        (used, strategies)
    }

    fn ids(instruments: &Instruments) -> Vec<&str> {
        instruments.iter().map(|(_, i)| i.symbol.as_str()).collect()
    }

    const LIST: &str = "instruments = \"list.csv\"\n";
    const ONE: &str = "
strategies:
  - { id: one, kind: low_frequency_demo, instruments: [S3], parameters: { every: 30s, quantity: 5 } }
";

    #[test]
    fn what_strategies_limits_and_earlier_starts_name_is_used() {
        let (used, strategies) = found(LIST, ONE, &Known::default());
        // And one of each currency: there is an account in it.
        assert_eq!(ids(&used.instruments), ["S3", "US1"]);
        assert_eq!(strategies[0].instruments, [InstrumentIdx(0)]);
        let by_index = |at: usize| used.map[at].map(InstrumentIdx::index);
        let listed = listed();
        for (index, instrument) in listed.iter() {
            let found = by_index(index.index()).map(|at| ids(&used.instruments)[at]);
            let wanted = ["S3", "US1"].contains(&instrument.symbol.as_str());
            assert_eq!(found, wanted.then_some(instrument.symbol.as_str()));
        }
        // Its future is not used, and the list says that there is one.
        assert_eq!(used.instruments.get(InstrumentIdx(0)).fno, Some(true));
        assert_eq!(used.instruments.get(InstrumentIdx(1)).fno, None);
        let limits = format!(
            "{LIST}[risk]\nallow = [\"S1\", \"S3\"]\n[risk.brokers.paper]\ndeny = [\"NSE:S4\"]\n"
        );
        let (used, _) = found(&limits, ONE, &Known::default());
        assert_eq!(ids(&used.instruments), ["S1", "S3", "S4", "US1"]);
        let own = ONE.replace("parameters:", "risk: { deny: [S5] }, parameters:");
        let (used, _) = found(LIST, &own, &Known::default());
        assert_eq!(ids(&used.instruments), ["S3", "S5", "US1"]);
        let mut known = Known::default();
        for symbol in ["S6", "GONE"] {
            let old = Instrument::share("NSE", symbol, "INR".parse().unwrap());
            known.instruments.insert(old.id.clone(), old);
        }
        let (used, _) = found(LIST, ONE, &known);
        assert_eq!(ids(&used.instruments), ["GONE", "S3", "S6", "US1"]);
    }

    #[test]
    fn a_class_is_used_whole_and_so_is_the_exchanges_own_list() {
        let class = "
strategies:
  - { id: one, kind: low_frequency_demo, asset_classes: [currency], parameters: { every: 30s, quantity: 5 } }
";
        let (used, strategies) = found(LIST, class, &Known::default());
        assert_eq!(ids(&used.instruments), ["EURINR", "US1", "USDINR"]);
        assert_eq!(
            strategies[0].instruments,
            [InstrumentIdx(0), InstrumentIdx(2)]
        );
        let (used, _) = found("", ONE, &Known::default());
        assert_eq!(used.instruments.len(), listed().len());
    }
}
