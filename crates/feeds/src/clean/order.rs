//! Which rows run backwards in time.
//!
//! Comparing each row with the one before would let a single stamp from the future discard all that
//! follows. Instead the largest set of rows whose stamps never fall is kept.

/// Marks the stamps of a largest non-decreasing subsequence, of several such the one with the earliest
/// rows (the lexicographically smallest set of positions). `None` when it is all of them.
///
/// O(n log n): from the right, `best[k]` is the greatest stamp with which a subsequence of `k + 1`
/// rows can begin; from the left, the first row that still begins a long enough one is taken.
pub fn keep(times: &[i64]) -> Option<Vec<bool>> {
    if times.is_sorted() {
        return None;
    }
    let mut best: Vec<i64> = Vec::new();
    let mut length = vec![0usize; times.len()];
    for (at, time) in times.iter().enumerate().rev() {
        let longer = best.partition_point(|start| start >= time);
        length[at] = longer + 1;
        match best.get_mut(longer) {
            Some(start) => *start = *time,
            None => best.push(*time),
        }
    }
    let mut wanted = best.len();
    let mut last = i64::MIN;
    let mut kept = vec![false; times.len()];
    for (at, time) in times.iter().enumerate() {
        if length[at] == wanted && *time >= last {
            kept[at] = true;
            last = *time;
            wanted -= 1;
            if wanted == 0 {
                break;
            }
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every subset, largest first and earliest first among equals.
    fn by_hand(times: &[i64]) -> Vec<usize> {
        let mut best: Vec<usize> = Vec::new();
        for set in 0u32..1 << times.len() {
            let rows: Vec<usize> = (0..times.len()).filter(|i| set >> i & 1 == 1).collect();
            let ordered = rows.windows(2).all(|w| times[w[0]] <= times[w[1]]);
            if ordered && (rows.len() > best.len() || (rows.len() == best.len() && rows < best)) {
                best = rows;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_subset(times in prop::collection::vec(0i64..7, 0..11)) {
            let kept = keep(&times).unwrap_or_else(|| vec![true; times.len()]);
            let rows: Vec<usize> = (0..times.len()).filter(|i| kept[*i]).collect();
            prop_assert_eq!(rows, by_hand(&times));
        }
    }

    #[test]
    fn one_outlier_costs_one_row() {
        let kept = keep(&[1, 2, 900, 3, 4, -5, 6]).unwrap();
        assert_eq!(kept, [true, true, false, true, true, false, true]);
    }
}
