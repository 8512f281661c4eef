//! The paper trader: a pure matching engine stepped inside the pipeline.
//!
//! It never looks ahead unless told to: an order placed by one input fills only on inputs after it. A leg
//! that goes with such an order may fill on the input that fills its parent.
//! On ticks a market order takes the opposite quote where the feed has one (five levels of depth
//! where it has them), else the last trade; on bars it takes the next bar's open. Every random number
//! is a function of the seed, the order and the draw's number.

mod book;
mod matching;
mod settings;
mod state;
mod trader;

use std::sync::Arc;

use model::AssetClass;
use traders::{BrokerKind, BuildContext, BuildError, Built};

pub use settings::{FillOn, LimitFill, PaperSettings, SETTINGS};
pub use trader::PaperTrader;

/// The kind to register.
pub fn kind() -> BrokerKind {
    BrokerKind {
        name: "paper",
        summary: "matches orders against the market data, inside the pipeline; no real money",
        asset_classes: &AssetClass::ALL,
        settings: SETTINGS,
        build: Box::new(build),
    }
}

fn build(context: &BuildContext<'_>) -> Result<Built, BuildError> {
    let fail = |message: String| BuildError::Setting {
        namespace: context.namespace.as_str().to_owned(),
        message,
    };
    let settings = PaperSettings::from_table(context.settings).map_err(fail)?;
    let mut warnings = Vec::new();
    if settings.fill == FillOn::SignalTick {
        warnings.push(format!(
            "look-ahead: `{}` fills orders at the price of the very tick that caused them \
             (fill = \"signal_tick\"); use it to compare with other engines, never to judge a strategy",
            context.namespace
        ));
    }
    let effective = toml::Table::try_from(&settings).map_err(|e| fail(e.to_string()))?;
    let trader = PaperTrader::new(
        settings,
        Arc::clone(&context.instruments),
        Arc::clone(&context.sessions),
    )
    .map_err(fail)?;
    Ok(Built::InPipeline {
        trader: Box::new(trader),
        warnings,
        effective,
    })
}
