//! The zone in which people read times. What machines read is UTC.

use anyhow::Context;
use jiff::tz::TimeZone;
use model::Timestamp;

/// A zone with its IANA name.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// By its IANA name.
    pub fn get(name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            zone: TimeZone::get(name)
                .with_context(|| format!("`{name}`: give an IANA name such as Asia/Kolkata"))?,
        })
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An instant with its offset, to the millisecond: `2026-11-25T09:15:00.000+05:30`.
    pub fn show(&self, at: Timestamp) -> String {
        match jiff::Timestamp::from_nanosecond(i128::from(at.nanos())) {
            Ok(at) => self.show_instant(at),
            Err(_) => at.to_string(),
        }
    }

    /// As [`show`](Self::show).
    pub fn show_instant(&self, at: jiff::Timestamp) -> String {
        let zoned = at.to_zoned(self.zone.clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_bears_the_clock_of_its_zone() {
        let at = Timestamp(1_764_042_300_250_000_000);
        for (name, shown) in [
            ("Asia/Kolkata", "2025-11-25T09:15:00.250+05:30"),
            ("America/New_York", "2025-11-24T22:45:00.250-05:00"),
            ("UTC", "2025-11-25T03:45:00.250+00:00"),
        ] {
            assert_eq!(Zone::get(name).unwrap().show(at), shown);
        }
        let error = Zone::get("Asia/Nowhere").unwrap_err();
        assert!(format!("{error:#}").contains("IANA"), "{error:#}");
    }
}
