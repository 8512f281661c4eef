//! The trader of the simulated exchange, in this process or in another.
//!
//! [`server`] is the exchange as a process of its own, which can misbehave on demand: it loses requests
//! and answers, answers late or twice, reports twice and drops connections, all as a function of a seed.

mod local;
mod remote;
pub mod server;
mod settings;
pub mod wire;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use exchange::{Books, SharedExchange};
use model::AssetClass;
use traders::{BrokerKind, BuildContext, BuildError, Built, Trader};

pub use local::LocalTrader;
pub use remote::RemoteTrader;
pub use settings::{SETTINGS, SimSettings};

/// The kind to register; `exchange` is the one of this process, where there is one.
pub fn kind(exchange: Option<SharedExchange>) -> BrokerKind {
    BrokerKind {
        name: "sim",
        summary: "trades on the simulated exchange, in this process or in one of its own; no real money",
        asset_classes: &AssetClass::ALL,
        settings: SETTINGS,
        build: Box::new(move |context| build(context, exchange.as_ref())),
    }
}

fn build(
    context: &BuildContext<'_>,
    exchange: Option<&SharedExchange>,
) -> Result<Built, BuildError> {
    let fail = |message: String| BuildError::Setting {
        namespace: context.namespace.as_str().to_owned(),
        message,
    };
    let settings = SimSettings::from_table(context.settings).map_err(fail)?;
    let account = context.namespace.as_str();
    let trader: Box<dyn Trader> = match (settings.socket().map_err(fail)?, exchange) {
        (Some(path), _) => {
            let names = context.instruments.iter().map(|(_, i)| i.id.clone());
            Box::new(RemoteTrader::new(&settings, path, account, names.collect()))
        }
        (None, Some(exchange)) => Box::new(LocalTrader::new(&settings, exchange.clone(), account)),
        (None, None) => {
            return Err(fail(
                "`connect` is empty, and this process has no simulated exchange: set \
                 connect = \"unix:PATH\" and start `panda exchange serve --socket PATH`, or use a feed \
                 with source = \"simulated\""
                    .to_owned(),
            ));
        }
    };
    Ok(Built::Outside {
        trader,
        warnings: Vec::new(),
        effective: toml::Table::try_from(&settings).map_err(|e| fail(e.to_string()))?,
    })
}

/// The books of every account of an exchange that serves a socket.
pub fn dump(socket: &Path) -> io::Result<BTreeMap<String, Books>> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut bytes = Vec::new();
    wire::frame(&wire::Request::Books, &mut bytes)?;
    wire::write_all(&stream, &bytes).map_err(|(_, error)| error)?;
    match wire::Frames::new(stream).read()? {
        wire::Got::Message(wire::Reply::Books(all)) => Ok(all.into_iter().collect()),
        wire::Got::Message(other) => Err(io::Error::other(format!("unexpected: {other:?}"))),
        wire::Got::Nothing => Err(io::ErrorKind::TimedOut.into()),
        wire::Got::Unreadable(_, why) => Err(io::Error::other(why)),
    }
}
