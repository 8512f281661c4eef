//! The settings of a paper trader.

use model::fixed::{ONE, Price};
use serde::{Deserialize, Serialize};
use traders::SettingSpec;

/// On which input an order may first fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillOn {
    /// The first one after the input that caused it: no look-ahead.
    #[default]
    NextTick,
    /// The very input that caused it: looks ahead; for comparison with other engines.
    SignalTick,
}

/// When a resting limit order fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitFill {
    /// When its price trades.
    #[default]
    Touch,
    /// When a better price trades: others at the limit were first.
    Through,
}

/// How a paper trader behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaperSettings {
    /// Time until an order, a change or a cancellation reaches the market, in milliseconds.
    pub simulation_latency_ms: u64,
    /// Up to this much more, drawn for each order, in milliseconds.
    pub latency_jitter_ms: u64,
    /// What an order that takes what is there (market, stop, or a limit order that meets its market
    /// at once) loses against the price, in basis points; never beyond its limit.
    pub slippage_bps: f64,
    /// The same in ticks of the instrument; both add up.
    pub slippage_ticks: u32,
    /// Share of the traded quantity that orders may take, 0 < share ≤ 1; 0: any quantity fills.
    pub participation: f64,
    /// Share of fills that are cut to a random part, 0 to 1.
    pub partial_fill_probability: f64,
    /// On which input an order may first fill.
    pub fill: FillOn,
    /// When a resting limit order fills.
    pub limit_fill: LimitFill,
    /// Whether five levels of depth are used where the feed has them.
    pub use_depth: bool,
    /// Seed of every random number.
    pub seed: u64,
}

impl Default for PaperSettings {
    fn default() -> Self {
        Self {
            simulation_latency_ms: 0,
            latency_jitter_ms: 0,
            slippage_bps: 0.0,
            slippage_ticks: 0,
            participation: 0.0,
            partial_fill_probability: 0.0,
            fill: FillOn::NextTick,
            limit_fill: LimitFill::Touch,
            use_depth: true,
            seed: 1,
        }
    }
}

/// The settings' reference.
pub const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        key: "simulation_latency_ms",
        default: "0",
        text: "time until an order, a change or a cancellation reaches the market, in milliseconds",
    },
    SettingSpec {
        key: "latency_jitter_ms",
        default: "0",
        text: "up to this much more, drawn for each order, in milliseconds",
    },
    SettingSpec {
        key: "slippage_bps",
        default: "0",
        text: "what an order that takes what is there (market, stop, or a limit order that meets its market at once) loses against the price, in basis points, rounded against the order to the tick size, never beyond its limit",
    },
    SettingSpec {
        key: "slippage_ticks",
        default: "0",
        text: "the same in ticks of the instrument; both add up",
    },
    SettingSpec {
        key: "participation",
        default: "0",
        text: "share of each input's traded quantity that all orders together may take, in whole lots, above 0 and at most 1; 0: any quantity fills",
    },
    SettingSpec {
        key: "partial_fill_probability",
        default: "0",
        text: "share of fills that are cut to a random part, 0 to 1",
    },
    SettingSpec {
        key: "fill",
        default: "\"next_tick\"",
        text: "`next_tick`: an order fills on inputs after the one that caused it; `signal_tick`: on that very input, which looks ahead and is labelled so in the report",
    },
    SettingSpec {
        key: "limit_fill",
        default: "\"touch\"",
        text: "`touch`: a resting limit order fills when its price trades; `through`: when a better one does",
    },
    SettingSpec {
        key: "use_depth",
        default: "true",
        text: "use five levels of depth where the feed has them",
    },
    SettingSpec {
        key: "seed",
        default: "1",
        text: "seed of every random number",
    },
];

/// Settings as the matching reads them: integers only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved {
    pub latency: i64,
    pub jitter: i64,
    /// In units of 10⁻⁸ basis points.
    pub slippage_bps: i64,
    pub slippage_ticks: i64,
    /// In units of 10⁻⁸; zero: unlimited.
    pub participation: i64,
    /// Compared with the upper 32 bits of a draw.
    pub partial: u64,
    pub look_ahead: bool,
    pub through: bool,
    pub use_depth: bool,
    pub seed: u64,
}

impl PaperSettings {
    /// From the namespace's table; names the key and the fix.
    pub fn from_table(table: &toml::Table) -> Result<Self, String> {
        let known: Vec<_> = SETTINGS.iter().map(|s| s.key).collect();
        if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!(
                "unknown key `{key}`; known keys: {}",
                known.join(", ")
            ));
        }
        // One key at a time, so that an error names its key.
        for (key, value) in table {
            let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
            if let Err(error) = alone.try_into::<Self>() {
                return Err(format!("`{key}` = {value}: {}", error.message()));
            }
        }
        let settings: Self = table
            .clone()
            .try_into()
            .map_err(|e: toml::de::Error| e.message().to_owned())?;
        settings.resolve()?;
        Ok(settings)
    }

    pub(crate) fn resolve(&self) -> Result<Resolved, String> {
        let within = |key: &str, value: f64, max: f64| {
            if (0.0..=max).contains(&value) {
                Ok(value)
            } else {
                Err(format!("`{key}` = {value}: must lie between 0 and {max}"))
            }
        };
        // Through the decimal text, so that 0.1 means exactly one tenth.
        let exact = |key: &str, value: f64| {
            value
                .to_string()
                .parse::<Price>()
                .map(Price::raw)
                .map_err(|e| format!("`{key}` = {value}: {e}"))
        };
        let millis = |key: &str, ms: u64| {
            i64::try_from(ms)
                .ok()
                .and_then(|ms| ms.checked_mul(1_000_000))
                .ok_or_else(|| format!("`{key}` = {ms}: too large"))
        };
        let slippage_bps = exact(
            "slippage_bps",
            within("slippage_bps", self.slippage_bps, 10_000.0)?,
        )?;
        let participation = exact(
            "participation",
            within("participation", self.participation, 1.0)?,
        )?;
        let partial = exact(
            "partial_fill_probability",
            within(
                "partial_fill_probability",
                self.partial_fill_probability,
                1.0,
            )?,
        )?;
        Ok(Resolved {
            latency: millis("simulation_latency_ms", self.simulation_latency_ms)?,
            jitter: millis("latency_jitter_ms", self.latency_jitter_ms)?,
            slippage_bps,
            slippage_ticks: i64::from(self.slippage_ticks),
            participation,
            partial: ((partial as u128) << 32).div_euclid(ONE as u128) as u64,
            look_ahead: self.fill == FillOn::SignalTick,
            through: self.limit_fill == LimitFill::Through,
            use_depth: self.use_depth,
            seed: self.seed,
        })
    }
}
