//! Market data against the calendar. What arrives while none is expected is taken all the same, as a
//! wrong calendar must not make a system blind; it is counted, and each closed stretch raises one alert.

use model::Timestamp;
use model::session::{SessionGroup, SessionStatus, SessionWindow, Sessions};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct GroupHours {
    /// Data is expected within it. It follows from the calendar: empty until that is asked.
    #[serde(skip, default = "none")]
    expected: SessionWindow,
    /// Data came in the closed stretch that ends here.
    closed_until: Timestamp,
}

const fn none() -> SessionWindow {
    SessionWindow::NONE
}

/// When data of each group is expected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DataHours {
    groups: Vec<GroupHours>,
    /// Closed stretches in which data came.
    stretches: u32,
}

impl DataHours {
    /// Of so many groups.
    pub fn new(groups: usize) -> Self {
        let fresh = GroupHours {
            expected: none(),
            closed_until: Timestamp::MIN,
        };
        Self {
            groups: vec![fresh; groups],
            stretches: 0,
        }
    }

    /// Closed stretches in which data came: it has risen when a new one must be announced.
    pub const fn stretches(&self) -> u32 {
        self.stretches
    }

    /// Data has arrived. False when none was expected.
    #[inline]
    pub fn observe(&mut self, sessions: &dyn Sessions, group: SessionGroup, at: Timestamp) -> bool {
        match self.groups.get(group.index()) {
            Some(hours) if hours.expected.open <= at && at < hours.expected.close => true,
            _ => self.look(sessions, group, at),
        }
    }

    #[cold]
    fn look(&mut self, sessions: &dyn Sessions, group: SessionGroup, at: Timestamp) -> bool {
        let Some(hours) = self.groups.get_mut(group.index()) else {
            return true;
        };
        match sessions.data_expected(group, at) {
            SessionStatus::Open(window) => {
                hours.expected = window;
                true
            }
            SessionStatus::Closed { next_open } => {
                if hours.closed_until != next_open {
                    hours.closed_until = next_open;
                    self.stretches = self.stretches.saturating_add(1);
                }
                false
            }
        }
    }

    /// Takes over what a saved one had seen; groups are those of now, and start anew where they differ.
    pub fn adopt(&mut self, saved: Self) {
        self.stretches = saved.stretches;
        if saved.groups.len() == self.groups.len() {
            self.groups = saved.groups;
        }
    }

    /// The state as text, without what follows from the calendar.
    pub fn fingerprint(&self) -> String {
        let closed: Vec<Timestamp> = self.groups.iter().map(|g| g.closed_until).collect();
        format!("{closed:?} {}", self.stretches)
    }
}
