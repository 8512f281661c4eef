//! The kinds of feeds that a build knows.

use std::sync::Arc;

use model::{Instruments, Timestamp};
use traders::SettingSpec;

use super::Feed;

/// The kind of the simulated exchange's feed.
pub const SIMULATED: &str = "simulated";
/// The kind of recorded data.
pub const REPLAY: &str = "replay";

/// What a feed is built from.
pub struct FeedContext<'a> {
    /// Its name in the settings.
    pub name: &'a str,
    /// Its table of the settings, without the keys that every feed has.
    pub settings: &'a toml::Table,
    /// The instruments that it can be asked for.
    pub instruments: Arc<Instruments>,
    /// The session's clock, which stamps ticks.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Builds one feed of a kind; it connects later. Says which key is wrong, and the fix.
pub type BuildFeed = Box<dyn Fn(&FeedContext<'_>) -> Result<Box<dyn Feed>, String> + Send + Sync>;

/// A kind of feed.
pub struct FeedKind {
    /// Its name: `source` in the settings.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Its settings.
    pub settings: &'static [SettingSpec],
    /// Builds one feed. A closure, as a kind may hold what its feeds share. `None` for recorded data: the session
    /// loads that before anything else, as its clock and its instruments are those of the data.
    pub build: Option<BuildFeed>,
}

/// The kinds that are registered.
#[derive(Default)]
pub struct FeedRegistry {
    kinds: Vec<FeedKind>,
}

impl FeedRegistry {
    /// Adds a kind; a later one of the same name takes the place of the earlier.
    pub fn register(&mut self, kind: FeedKind) {
        self.kinds.retain(|k| k.name != kind.name);
        self.kinds.push(kind);
        self.kinds.sort_by_key(|k| k.name);
    }
    /// The kind of a name.
    pub fn get(&self, name: &str) -> Option<&FeedKind> {
        self.kinds.iter().find(|k| k.name == name)
    }
    /// All kinds, by name.
    pub fn kinds(&self) -> &[FeedKind] {
        &self.kinds
    }
    /// All names.
    pub fn names(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|k| k.name).collect()
    }
}
