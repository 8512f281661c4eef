//! Identities. All are hashes of what caused a thing, so that the same inputs give the same ids on
//! every machine; none depends on an interned index. They are free of a run's salt: the salt enters
//! where an id leaves the process ([`OrderId::client_order_id`]).

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The position of an input in its source's session: the row of a merged file, the number of a tick.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct InputId(pub u64);

/// A strategy's dense index in one start of the system; 0 is the reserved owner `manual`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct StrategyIdx(pub u32);

impl StrategyIdx {
    /// The name of the reserved owner.
    pub const MANUAL_NAME: &'static str = "manual";

    /// As an index of a table by strategy.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A name's hash, computed once at start and used wherever an id is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameHash(pub u64);

impl NameHash {
    /// Of a strategy's or a namespace's name.
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()))
    }
}

/// The identity of one session of a market data source: a file's content digest, or what a live
/// feed draws at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceSession(pub u128);

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u128::from_str_radix(text, 16).map(Self)
            }
        }
    };
}

id128!(
    /// Ties together everything that one decision caused, over all brokers. 32 hexadecimal digits,
    /// which is also the form of a W3C trace id.
    CorrelationId
);
id128!(
    /// A strategy's signal; the same on every broker that it is fanned out to.
    SignalId
);
id128!(
    /// One execution of an order.
    TradeId
);
id128!(
    /// An event of a log.
    EventId
);
id128!(
    /// An operator's command.
    CommandId
);

/// An order, unique over namespaces: 100 bits, so that its text is 20 letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(u128);

const ORDER_ID_BITS: u32 = 100;
/// Crockford's alphabet in lower case: no letter that is taken for a digit.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Domains keep hashes of different kinds of things apart.
#[derive(Clone, Copy)]
enum Domain {
    Signal = 1,
    Correlation = 2,
    Order = 3,
    Trade = 4,
    Salted = 5,
    Draw = 6,
    Scheduled = 7,
    Timed = 8,
    Failure = 9,
    Host = 10,
    Event = 11,
    Key = 12,
}

fn hash(domain: Domain, a: u128, b: u128, c: u64, d: u32) -> u128 {
    let mut bytes = [0u8; 45];
    bytes[0] = domain as u8;
    bytes[1..17].copy_from_slice(&a.to_le_bytes());
    bytes[17..33].copy_from_slice(&b.to_le_bytes());
    bytes[33..41].copy_from_slice(&c.to_le_bytes());
    bytes[41..45].copy_from_slice(&d.to_le_bytes());
    xxh3_128(&bytes)
}

impl SignalId {
    /// The `ordinal`-th signal of a strategy on one input.
    pub fn derive(
        strategy: NameHash,
        session: SourceSession,
        input: InputId,
        ordinal: u32,
    ) -> Self {
        Self(hash(
            Domain::Signal,
            u128::from(strategy.0),
            session.0,
            input.0,
            ordinal,
        ))
    }
}

impl CorrelationId {
    /// What a signal that opens or reverses starts: a hash of the strategy and the causing input,
    /// without the namespace.
    pub fn of_decision(strategy: NameHash, session: SourceSession, input: InputId) -> Self {
        Self(hash(
            Domain::Correlation,
            u128::from(strategy.0),
            session.0,
            input.0,
            0,
        ))
    }

    /// What a decision on a strategy's own timer or on a bar's close starts.
    pub fn of_timed_decision(strategy: NameHash, session: SourceSession, due: i64) -> Self {
        Self(hash(
            Domain::Timed,
            u128::from(strategy.0),
            session.0,
            due as u64,
            0,
        ))
    }

    /// What an operator's command starts.
    pub const fn of_command(command: CommandId) -> Self {
        Self(command.0)
    }

    /// What a scheduled or automatic action of a namespace starts: its `ordinal`-th at `due`.
    pub fn of_schedule(namespace: NameHash, due: i64, ordinal: u32) -> Self {
        Self(hash(
            Domain::Scheduled,
            u128::from(namespace.0),
            0,
            due as u64,
            ordinal,
        ))
    }
}

impl EventId {
    /// Of the event or input that `what` names within its `kind`. The run's salt keeps the events of
    /// two replays of the same day apart.
    pub fn derive(salt: u128, kind: NameHash, what: u128, ordinal: u32) -> Self {
        Self(hash(Domain::Event, salt, what, kind.0, ordinal))
    }
}

impl CommandId {
    /// Of the command by which a host disables a strategy that failed at an instant.
    pub fn of_failure(strategy: NameHash, at: i64) -> Self {
        Self(hash(
            Domain::Failure,
            u128::from(strategy.0),
            0,
            at as u64,
            0,
        ))
    }
}

impl CommandId {
    /// Of every command that is given under a key.
    pub fn of_key(key: &str) -> Self {
        let name = u128::from(NameHash::of(key).0);
        Self(hash(Domain::Key, name, 0, key.len() as u64, 0))
    }

    /// Of a command that the host of a namespace gives by itself, for a reason, at an instant.
    pub fn of_host(namespace: &str, reason: &str, at: i64) -> Self {
        Self(hash(
            Domain::Host,
            u128::from(NameHash::of(namespace).0),
            u128::from(NameHash::of(reason).0),
            at as u64,
            0,
        ))
    }
}

impl OrderId {
    /// The `ordinal`-th order that `cause` (a signal, a parent order, a command) leads to in a
    /// namespace.
    pub fn derive(namespace: NameHash, cause: u128, ordinal: u32) -> Self {
        let full = hash(Domain::Order, cause, u128::from(namespace.0), 0, ordinal);
        Self(full & ((1 << ORDER_ID_BITS) - 1))
    }

    /// As a number.
    pub const fn get(self) -> u128 {
        self.0
    }
    /// The order of a number that [`get`](Self::get) gave; bits beyond its 100 are dropped.
    pub const fn from_number(number: u128) -> Self {
        Self(number & ((1 << ORDER_ID_BITS) - 1))
    }

    /// What the broker sees: this id salted per run, as 20 letters and digits, which fits every
    /// broker's limit. The same day replayed twice gives new orders.
    pub fn client_order_id(self, salt: u128) -> ArrayString<20> {
        let mask = (1 << ORDER_ID_BITS) - 1;
        Self(hash(Domain::Salted, self.0, salt, 0, 0) & mask).text()
    }

    /// The id as 20 letters and digits.
    pub fn text(self) -> ArrayString<20> {
        let mut text = ArrayString::new();
        for i in (0..20u32).rev() {
            text.push(char::from(BASE32[(self.0 >> (5 * i)) as usize & 31]));
        }
        text
    }

    /// The `draw`-th random number of this order, uniform over 64 bits: a function of the seed, the
    /// id and the draw's number, whatever else happens.
    pub fn draw(self, seed: u64, draw: u32) -> u64 {
        hash(Domain::Draw, self.0, u128::from(seed), 0, draw) as u64
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OrderId {
    type Err = crate::fixed::NumberError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use crate::fixed::NumberError::Malformed;
        if text.len() != 20 {
            return Err(Malformed);
        }
        let mut value = 0u128;
        for byte in text.bytes() {
            let digit = BASE32.iter().position(|b| *b == byte).ok_or(Malformed)?;
            value = value << 5 | digit as u128;
        }
        Ok(Self(value))
    }
}

impl TradeId {
    /// The `ordinal`-th execution of an order, where no broker numbers them: a simulated fill.
    pub fn derive(order: OrderId, ordinal: u32) -> Self {
        Self(hash(Domain::Trade, order.0, 0, 0, ordinal))
    }
    /// The execution that brought an order to `total`, in units of 10⁻⁸, where a broker tells only totals.
    pub fn of_total(order: OrderId, total: i64) -> Self {
        Self(hash(Domain::Trade, order.0, 1, total.cast_unsigned(), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_are_twenty_letters_and_digits_and_parse_back() {
        for n in 0..1000 {
            let id = OrderId::derive(NameHash::of("paper"), n, 0);
            let text = id.text();
            assert_eq!(text.len(), 20);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
            assert_eq!(text.parse::<OrderId>().unwrap(), id);
            assert_ne!(id.client_order_id(1), id.client_order_id(2));
        }
    }
}
