//! How the Mappings of a group share its requests.

/// Shares, and what they are shares of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shares {
    pub(crate) weights: Vec<u32>,
    /// 100, or the sum of the weights where that is more.
    pub(crate) total: u32,
    /// The written weights sum to more than 100.
    pub(crate) excess: bool,
}

/// One Mapping takes everything, whatever its weight. Of several, those without a weight share equally what the others
/// leave of 100 (nothing, perhaps: that is how a canary is finished). With less than 100 in all, the rest goes on to less
/// specific routes.
pub(crate) fn shares(written: &[Option<i64>]) -> Shares {
    if written.len() == 1 {
        return Shares { weights: vec![100], total: 100, excess: false };
    }
    let mut weights: Vec<u32> = written.iter().map(|weight| bounded(weight.unwrap_or(0))).collect();
    let sum = weights.iter().fold(0, |sum: u32, weight| sum.saturating_add(*weight));
    let without: Vec<usize> = (0..written.len()).filter(|at| written[*at].is_none()).collect();
    let mut rest = 100u32.saturating_sub(sum);
    for (index, at) in without.iter().enumerate() {
        let left = u32::try_from(without.len() - index).unwrap_or(u32::MAX);
        let share = if left == 1 { rest } else { equal_part(sum, without.len()).min(rest) };
        weights[*at] = share;
        rest -= share;
    }
    Shares { weights, total: sum.max(100), excess: sum > 100 }
}

/// What each of `count` Mappings gets of what `sum` leaves, to the nearest whole number.
fn equal_part(sum: u32, count: usize) -> u32 {
    let rest = 100u32.saturating_sub(sum);
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    (rest * 2 + count) / (count * 2)
}

/// A sum of many weights must not overflow; nobody means more than a million.
fn bounded(weight: i64) -> u32 {
    u32::try_from(weight.clamp(0, 1_000_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &[Option<i64>], weights: &[u32], total: u32) {
        let shares = shares(written);
        assert_eq!((shares.weights.as_slice(), shares.total), (weights, total));
    }

    #[test]
    fn shares_of_a_group() {
        check(&[Some(7)], &[100], 100);
        check(&[None], &[100], 100);
        check(&[Some(10), None], &[10, 90], 100);
        check(&[None, None, None], &[33, 33, 34], 100);
        check(&[Some(95), None, None, None], &[95, 2, 2, 1], 100);
        check(&[Some(97), None, None, None, None, None], &[97, 1, 1, 1, 0, 0], 100);
        check(&[Some(100), None], &[100, 0], 100);
        check(&[Some(30), Some(20)], &[30, 20], 100);
        check(&[Some(70), Some(60)], &[70, 60], 130);
        check(&[Some(70), Some(60), None], &[70, 60, 0], 130);
        check(&[Some(-5), Some(50)], &[0, 50], 100);
        check(&[Some(0), Some(0)], &[0, 0], 100);
    }
}
