//! The data directory of a system, for commands that only read it. They take no lock, so that they work
//! beside a running system.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use journal::{FileLogs, Log, LogName, Logs};
use settings::Settings;

/// Which data directory.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The data directory; without it the settings' `data_dir`, which is `data` by default
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Settings (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A data directory that is there.
pub struct Place {
    /// The directory.
    pub dir: PathBuf,
    /// Its logs, for readers.
    pub logs: Arc<dyn Logs>,
    /// The namespaces that have a journal there.
    pub brokers: Vec<String>,
    /// The settings.
    pub settings: Settings,
}

impl PlaceArgs {
    /// Looks at the directory.
    pub fn open(&self) -> anyhow::Result<Place> {
        let settings = super::run::settings(self.config.as_deref(), &[], None, &[])?;
        let dir = self
            .data_dir
            .clone()
            .unwrap_or_else(|| settings.live.data_dir.clone());
        if !dir.is_dir() {
            bail!(
                "{}: there is no such data directory: name the one that the system was started with (--data-dir DIR, or --config FILE)",
                dir.display()
            );
        }
        let logs = FileLogs::existing(&dir);
        let brokers = logs.journals();
        let brokers = brokers.with_context(|| format!("cannot list {}", dir.display()))?;
        Ok(Place {
            logs: Arc::new(logs),
            dir,
            brokers,
            settings,
        })
    }
}

impl Place {
    /// The journals of the wanted namespace or of all, behind the market log where all are wanted.
    pub fn chosen_logs(&self, wanted: Option<&str>) -> anyhow::Result<Vec<Arc<dyn Log>>> {
        let chosen = self.chosen(wanted)?;
        let journals = chosen.iter().map(|name| LogName::Journal(name));
        let market = wanted.is_none().then_some(LogName::Market);
        Ok(market
            .into_iter()
            .chain(journals)
            .map(|name| self.logs.log(name))
            .collect())
    }

    /// The wanted namespace, or all.
    pub fn chosen(&self, wanted: Option<&str>) -> anyhow::Result<Vec<String>> {
        match wanted {
            None => Ok(self.brokers.clone()),
            Some(wanted) if self.brokers.iter().any(|b| b == wanted) => Ok(vec![wanted.to_owned()]),
            Some(wanted) if self.brokers.is_empty() => bail!(
                "--broker {wanted}: {} has no journal: is it the data directory of a system that has run?",
                self.dir.display()
            ),
            Some(wanted) => bail!(
                "--broker {wanted}: no such journal in {}; there are: {}",
                self.dir.display(),
                self.brokers.join(", ")
            ),
        }
    }
}

/// Bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (999_999, "1.0 MB"),
            (2_340_000_000, "2.3 GB"),
        ] {
            assert_eq!(super::bytes(count), shown);
        }
    }
}
