//! What a namespace is built from.

use std::sync::Arc;

use model::charges::{Charges, NoCharges};
use model::ids::SourceSession;
use model::time::SECOND;
use model::topic::Namespace;
use model::trader::{Capabilities, Delivery, InPipelineTrader};
use model::{Amount, AssetClass};
use paper::{PaperSettings, PaperTrader};
use pipeline::broker::OnResume;
use pipeline::risk::{AutoResume, Limits};
use pipeline::{BrokerPipeline, BrokerSettings};

use crate::scripted::Recipe;
use crate::world::{Hours, instruments};

/// Everything that a namespace is built from, as often as is needed.
#[derive(Clone)]
pub struct Plan {
    pub namespace: &'static str,
    /// How many strategies there are besides `manual`.
    pub strategies: u32,
    pub limits: Limits,
    pub strategy_limits: Vec<Option<Limits>>,
    pub cash: Amount,
    pub auto_resume: AutoResume,
    pub on_resume: OnResume,
    pub square_off: Option<i64>,
    pub notice: i64,
    pub charges: Arc<dyn Charges>,
    pub asset_classes: Vec<AssetClass>,
    /// `None`: orders are executed outside, and the test plays the broker.
    pub paper: Option<PaperSettings>,
    /// A trader of the test's own in the place of paper.
    pub trader: Option<fn() -> Box<dyn InPipelineTrader>>,
    /// Per-broker strategies; their indices count from 1.
    pub own: Vec<Recipe>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            namespace: "desk",
            strategies: 3,
            limits: Limits::default(),
            strategy_limits: Vec::new(),
            cash: Amount::from_int(1_000_000),
            auto_resume: AutoResume::Manual,
            on_resume: OnResume::Hold,
            square_off: None,
            notice: 0,
            charges: Arc::new(NoCharges),
            asset_classes: AssetClass::ALL.to_vec(),
            paper: Some(PaperSettings::default()),
            trader: None,
            own: Vec::new(),
        }
    }
}

impl Plan {
    /// Orders go to a broker outside, which the test plays.
    pub fn outside() -> Self {
        Self {
            paper: None,
            ..Self::default()
        }
    }

    pub fn build(&self) -> BrokerPipeline {
        let (instruments, sessions) = (instruments(), Arc::new(Hours));
        let mut strategy_limits = self.strategy_limits.clone();
        strategy_limits.resize(self.strategies as usize + 1, None);
        let trader = match (&self.trader, &self.paper) {
            (Some(make), _) => Some(make()),
            (None, Some(settings)) => {
                let trader =
                    PaperTrader::new(settings.clone(), Arc::clone(&instruments), sessions.clone());
                Some(Box::new(trader.unwrap()) as Box<dyn InPipelineTrader>)
            }
            (None, None) => None,
        };
        let settings = BrokerSettings {
            namespace: Namespace::new(self.namespace).unwrap(),
            starting_cash: vec![self.cash; instruments.currencies().len()],
            limits: self.limits.clone(),
            strategy_limits,
            auto_resume: self.auto_resume,
            on_resume: self.on_resume,
            square_off: vec![self.square_off; 3],
            square_off_notice: self.notice,
            snapshot_interval: 60 * SECOND,
            send_within: 5 * SECOND,
            report_band: model::fixed::ONE / 2,
            charges: Arc::clone(&self.charges),
            rules: Arc::new(crate::world::Freeze),
        };
        let capabilities = Capabilities {
            delivery: Delivery::Idempotent,
            asset_classes: self.asset_classes.clone(),
            native_oco: false,
            executes_on_tick: true,
        };
        let own = self
            .own
            .iter()
            .zip(1..)
            .map(|(r, index)| r.build(index))
            .collect();
        BrokerPipeline::new(
            instruments,
            sessions,
            SourceSession(7),
            settings,
            capabilities,
            own,
            trader,
        )
    }
}
