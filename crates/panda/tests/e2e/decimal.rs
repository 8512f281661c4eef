//! Exact decimals of the tests' own, apart from the code that they judge.

/// Decimals of every number here.
const PLACES: usize = 18;
const SCALE: i128 = 1_000_000_000_000_000_000;

/// A decimal with 18 places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Decimal(pub i128);

impl Decimal {
    pub fn parse(text: &str) -> Self {
        let (sign, plain) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        assert!(
            !whole.is_empty() && fraction.len() <= PLACES,
            "`{text}` is no plain decimal"
        );
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        assert!(
            digits(whole) && digits(fraction),
            "`{text}` is no plain decimal"
        );
        let whole: i128 = whole.parse().unwrap();
        let fraction: i128 = format!("{fraction:0<PLACES$}").parse().unwrap();
        Self(sign * (whole * SCALE + fraction))
    }

    /// The product; exact, or the test ends.
    pub fn times(self, other: Self) -> Self {
        // Both have at most eight places, so that no digit is lost.
        const HALF: i128 = 1_000_000_000;
        assert!(self.0 % HALF == 0 && other.0 % HALF == 0);
        Self((self.0 / HALF).checked_mul(other.0 / HALF).unwrap())
    }

    pub fn plus(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).unwrap())
    }

    pub fn minus(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).unwrap())
    }

    pub fn of(whole: i64) -> Self {
        Self(i128::from(whole) * SCALE)
    }

    pub fn negative(self) -> Self {
        Self(-self.0)
    }
}

/// Without trailing zeros, as the program writes.
impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.0.unsigned_abs() / 10u128.pow(18), self.0 % SCALE);
        let fraction = format!("{:018}", fraction.unsigned_abs());
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction.is_empty() {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{fraction}")
        }
    }
}

#[test]
fn decimals_are_read_and_written() {
    for text in [
        "0",
        "-0.00000001",
        "12.5",
        "-3",
        "10000000",
        "1.000000000000000001",
    ] {
        assert_eq!(Decimal::parse(text).to_string(), text);
    }
    let product = Decimal::parse("-0.00000003").times(Decimal::parse("1.5"));
    assert_eq!(product.to_string(), "-0.000000045");
}
