//! What a position asks of the account: shares of its value, by asset class and product.
//!
//! Exchanges and brokers compute margins anew every day (SPAN and exposure, by portfolio); nobody can
//! know them beforehand. This is a floor that the user sets, not the broker's figure.

use model::instrument::AssetClass;
use model::signal::{Product, Side};
use model::{Amount, Instrument, NumberError, Price, Quantity};

const CLASSES: usize = AssetClass::ALL.len();
const PRODUCTS: usize = Product::ALL.len();

/// Shares of positions' values to be covered, in units of 10⁻⁸.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Margin {
    /// The same of every position's value.
    Uniform(i64),
    /// By asset class and product. An option that is bought costs its premium, whatever the table
    /// says; one that is sold counts as what it is written on, at the strike.
    Table(Box<[[i64; PRODUCTS]; CLASSES]>),
}

impl Default for Margin {
    fn default() -> Self {
        Self::Uniform(model::fixed::ONE)
    }
}

impl Margin {
    /// A table from shares by name: `default`, a product, an asset class, or `CLASS:PRODUCT`. The most
    /// special one counts, a class before a product; without `default` all of the value is covered.
    /// An error is the name that is none.
    pub fn table<'a>(shares: impl IntoIterator<Item = (&'a str, i64)>) -> Result<Self, &'a str> {
        let mut all: Vec<(u8, Option<AssetClass>, Option<Product>, i64)> = Vec::new();
        let product_of = |name: &str| Product::ALL.into_iter().find(|p| p.name() == name);
        for (name, share) in shares {
            let (class, product) = match name.split_once(':') {
                _ if name == "default" => (None, None),
                Some((class, product)) => (
                    Some(class.parse().map_err(|_| name)?),
                    Some(product_of(product).ok_or(name)?),
                ),
                None => match product_of(name) {
                    Some(product) => (None, Some(product)),
                    None => (Some(name.parse().map_err(|_| name)?), None),
                },
            };
            let rank = 2 * u8::from(class.is_some()) + u8::from(product.is_some());
            all.push((rank, class, product, share));
        }
        // The more special overwrites what is more general.
        all.sort_by_key(|(rank, ..)| *rank);
        let mut table = Box::new([[model::fixed::ONE; PRODUCTS]; CLASSES]);
        for (_, class, product, share) in all {
            for (row, c) in table.iter_mut().zip(AssetClass::ALL) {
                for (cell, p) in row.iter_mut().zip(Product::ALL) {
                    if class.is_none_or(|class| class == c) && product.is_none_or(|p2| p2 == p) {
                        *cell = share;
                    }
                }
            }
        }
        Ok(Self::Table(table))
    }

    /// What a position on this side, or an order that opens one, asks for.
    pub fn of(
        &self,
        instrument: &Instrument,
        product: Product,
        side: Side,
        price: Price,
        quantity: Quantity,
    ) -> Result<Amount, NumberError> {
        let value = |price| Amount::notional(price, quantity, instrument.multiplier);
        let table = match self {
            Self::Uniform(share) => return value(price)?.fraction(*share),
            Self::Table(table) => table,
        };
        let row = table.iter().zip(AssetClass::ALL);
        let share = row
            .filter(|(_, class)| *class == instrument.asset_class)
            .flat_map(|(row, _)| row.iter().zip(Product::ALL))
            .find(|(_, p)| *p == product)
            .map_or(model::fixed::ONE, |(share, _)| *share);
        let is_option =
            instrument.option_kind.is_some() || instrument.asset_class == AssetClass::Options;
        match (is_option, side) {
            (true, Side::Buy) => value(price),
            (true, Side::Sell) => value(instrument.strike.unwrap_or(price))?.fraction(share),
            (false, _) => value(price)?.fraction(share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_share_counts_and_options_have_their_own_value() {
        let margin = Margin::table([
            ("equity:intraday", 20_000_000),
            ("default", 50_000_000),
            ("carry_forward", 25_000_000),
            ("options", 10_000_000),
        ])
        .unwrap();
        let share = Instrument::share("NSE", "A", "INR".parse().unwrap());
        let future = Instrument {
            asset_class: AssetClass::Futures,
            ..share.clone()
        };
        let option = Instrument {
            asset_class: AssetClass::Options,
            strike: Some("200".parse().unwrap()),
            ..share.clone()
        };
        let of = |instrument: &Instrument, product, side| {
            let (price, quantity) = ("10".parse().unwrap(), "3".parse().unwrap());
            let amount = margin.of(instrument, product, side, price, quantity);
            amount.unwrap().to_string()
        };
        use Product::{CarryForward, Delivery, Intraday};
        use Side::{Buy, Sell};
        assert_eq!(of(&share, Intraday, Sell), "6");
        assert_eq!(of(&share, Delivery, Buy), "15");
        assert_eq!(of(&future, CarryForward, Buy), "7.5");
        assert_eq!(of(&option, CarryForward, Buy), "30", "the premium");
        assert_eq!(of(&option, CarryForward, Sell), "60", "a tenth of 3 × 200");
        for name in ["shares", "equity:overnight", ""] {
            assert_eq!(Margin::table([(name, 1)]), Err(name));
        }
    }
}
