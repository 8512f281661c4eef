//! Topic names, built and parsed here and nowhere else.

use std::fmt;

use crate::instrument::AssetClass;

/// What follows the namespace in a topic's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Signals as the strategies sent them.
    SignalsRaw,
    /// Signals that passed the risk rules.
    SignalsValidated,
    /// Signals that did not.
    SignalsRejected,
    /// Durable intents.
    OrdersSubmitted,
    /// Steps of an order that have no topic of their own.
    OrdersUpdated,
    /// Executions.
    OrdersFilled,
    /// Orders that provably never reached the broker.
    OrdersFailed,
    /// The namespace's money.
    PortfolioSnapshots,
    /// Commands, state changes and alerts.
    Control,
    /// The namespace's log.
    Journal,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SignalsRaw,
        Self::SignalsValidated,
        Self::SignalsRejected,
        Self::OrdersSubmitted,
        Self::OrdersUpdated,
        Self::OrdersFilled,
        Self::OrdersFailed,
        Self::PortfolioSnapshots,
        Self::Control,
        Self::Journal,
    ];

    /// The part of the topic's name after the namespace.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::SignalsRaw => "signals.raw",
            Self::SignalsValidated => "signals.validated",
            Self::SignalsRejected => "signals.rejected",
            Self::OrdersSubmitted => "orders.submitted",
            Self::OrdersUpdated => "orders.updated",
            Self::OrdersFilled => "orders.filled",
            Self::OrdersFailed => "orders.failed",
            Self::PortfolioSnapshots => "portfolio.snapshots",
            Self::Control => "control",
            Self::Journal => "journal",
        }
    }
}

/// The name of a broker's namespace: `[a-z][a-z0-9_-]*`, and neither `market` nor `strategies`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, TopicError> {
        let mut bytes = name.bytes();
        let valid = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if !valid {
            return Err(TopicError::BadNamespace(name.to_owned()));
        }
        if name == "market" || name == "strategies" {
            return Err(TopicError::ReservedNamespace(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a name is no topic or namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The namespace does not match the pattern.
    #[error(
        "`{0}` is not a broker's name: use lower-case letters, digits, `_` and `-`, starting with a letter"
    )]
    BadNamespace(String),
    /// The namespace is reserved.
    #[error("`{0}` is reserved and cannot name a broker")]
    ReservedNamespace(String),
    /// No topic has this name.
    #[error("`{0}` is not the name of a topic")]
    Unknown(String),
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `market.{asset_class}.ticks`.
    Market(AssetClass),
    /// `strategies`.
    Strategies,
    /// `{broker}.{channel}`.
    Broker(Namespace, Channel),
    /// `{topic}.dlq`.
    DeadLetters(Box<Topic>),
}

impl Topic {
    /// The topic's dead letters.
    pub fn dead_letters(self) -> Self {
        match self {
            Self::DeadLetters(_) => self,
            other => Self::DeadLetters(Box::new(other)),
        }
    }

    /// From a topic's name.
    pub fn parse(name: &str) -> Result<Self, TopicError> {
        if let Some(inner) = name.strip_suffix(".dlq") {
            return match Self::parse(inner)? {
                Self::DeadLetters(_) => Err(TopicError::Unknown(name.to_owned())),
                topic => Ok(topic.dead_letters()),
            };
        }
        if name == "strategies" {
            return Ok(Self::Strategies);
        }
        let unknown = || TopicError::Unknown(name.to_owned());
        let (first, rest) = name.split_once('.').ok_or_else(unknown)?;
        if first == "market" {
            let class = rest.strip_suffix(".ticks").ok_or_else(unknown)?;
            return class.parse().map(Self::Market).map_err(|_| unknown());
        }
        let namespace = Namespace::new(first)?;
        let channel = Channel::ALL
            .into_iter()
            .find(|c| c.suffix() == rest)
            .ok_or_else(unknown)?;
        Ok(Self::Broker(namespace, channel))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Market(class) => write!(f, "market.{class}.ticks"),
            Self::Strategies => f.write_str("strategies"),
            Self::Broker(namespace, channel) => write!(f, "{namespace}.{}", channel.suffix()),
            Self::DeadLetters(topic) => write!(f, "{topic}.dlq"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_parses_back() {
        let broker = Namespace::new("paper").unwrap();
        let mut topics: Vec<Topic> = Channel::ALL
            .into_iter()
            .map(|c| Topic::Broker(broker.clone(), c))
            .collect();
        topics.extend(AssetClass::ALL.into_iter().map(Topic::Market));
        topics.push(Topic::Strategies);
        let dead: Vec<_> = topics.iter().cloned().map(Topic::dead_letters).collect();
        for topic in topics.into_iter().chain(dead) {
            assert_eq!(Topic::parse(&topic.to_string()), Ok(topic));
        }
    }

    #[test]
    fn names_that_are_no_topics_are_refused() {
        for name in [
            "",
            "paper",
            "market.ticks",
            "market.bonds.ticks",
            "Paper.control",
            "paper.x",
            "strategies.control",
            "paper.control.dlq.dlq",
            "9a.control",
        ] {
            assert!(Topic::parse(name).is_err(), "{name}");
        }
    }
}
