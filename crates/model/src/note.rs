//! What a strategy saw when it decided: a few named figures.

use std::fmt;

use arrayvec::ArrayString;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A note has at most this many figures; more are left out.
pub const NOTE_FIGURES_MAX: usize = 5;

/// The name of a figure, at most 12 bytes.
pub type FigureName = ArrayString<12>;

/// Named figures that a strategy gives with a decision, for people: nothing decides on them. A plain
/// value of fixed size, so that it costs no allocation.
#[derive(Clone, Copy, Default)]
pub struct Note([(FigureName, f64); NOTE_FIGURES_MAX]);

impl Note {
    /// The figures in the order given. Names are single words; longer ones are cut. What is no number
    /// is kept as one not-a-number, whatever its bits.
    pub fn of(figures: &[(&str, f64)]) -> Self {
        let mut note = Self::default();
        for ((name, value), place) in figures.iter().zip(&mut note.0) {
            *place = (cut(name), canonical(*value));
        }
        note
    }
    /// The figures.
    pub fn figures(&self) -> impl Iterator<Item = (&str, f64)> {
        let given = self.0.iter().filter(|(name, _)| !name.is_empty());
        given.map(|(name, value)| (name.as_str(), *value))
    }
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.figures().next().is_none()
    }
    /// Rounded to six digits, for people.
    pub fn rounded(&self) -> String {
        let shown = self.figures().map(|(name, value)| {
            // Through the decimal form, which every machine writes alike.
            let short = format!("{value:.5e}").parse().unwrap_or(value);
            format!("{name} {short}")
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

fn cut(name: &str) -> FigureName {
    let mut end = name.len().min(FigureName::new().capacity());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    FigureName::from(&name[..end]).unwrap_or_default()
}

/// Not-a-number has many bit patterns, and which one arises depends on the processor.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN.abs()
    } else {
        value
    }
}

/// Exact, as `name=value` with blanks between.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.figures().enumerate() {
            let blank = if at == 0 { "" } else { " " };
            write!(f, "{blank}{name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.figures()).finish()
    }
}

/// By bits: a figure that is no number equals itself, so that a replay can be compared.
impl PartialEq for Note {
    fn eq(&self, other: &Self) -> bool {
        let bits = |note: &Self| note.0.map(|(name, value)| (name, value.to_bits()));
        bits(self) == bits(other)
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let given: arrayvec::ArrayVec<(&str, f64), NOTE_FIGURES_MAX> = self.figures().collect();
        serializer.collect_seq(given)
    }
}

impl<'de> Deserialize<'de> for Note {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Figures;
        impl<'de> Visitor<'de> for Figures {
            type Value = Note;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {NOTE_FIGURES_MAX} named figures")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Note, A::Error> {
                let mut note = Note::default();
                let mut places = note.0.iter_mut();
                while let Some((name, value)) = seq.next_element::<(FigureName, f64)>()? {
                    let Some(place) = places.next() else {
                        return Err(serde::de::Error::invalid_length(
                            NOTE_FIGURES_MAX + 1,
                            &self,
                        ));
                    };
                    *place = (name, canonical(value));
                }
                Ok(note)
            }
        }
        deserializer.deserialize_seq(Figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_bounded_and_equals_itself() {
        let nan = f64::from_bits(0xfff8_0000_0000_0001);
        let note = Note::of(&[
            ("fast", 101.25),
            ("a_very_long_name", 1.0 / 3.0),
            ("no", nan),
        ]);
        assert_eq!(
            note.to_string(),
            "fast=101.25 a_very_long_=0.3333333333333333 no=NaN"
        );
        assert_eq!(note.rounded(), "fast 101.25, a_very_long_ 0.333333, no NaN");
        assert_eq!(note, note);
        assert!(Note::default().is_empty());
        assert_eq!(
            Note::of(&[("x", 1.0); 9]).figures().count(),
            NOTE_FIGURES_MAX
        );
    }
}
