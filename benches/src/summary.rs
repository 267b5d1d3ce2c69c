//! Least, middle and greatest of a few numbers.

use std::fmt;

/// Of at least one number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// None of no numbers. The median of an even number of them is the mean of the middle two.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers = numbers.into_iter().collect::<Vec<_>>();
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let middle = numbers.len() / 2;
        let median = if numbers.len() % 2 == 0 {
            f64::midpoint(numbers[middle - 1], numbers[middle])
        } else {
            numbers[middle]
        };
        Some(Self { min, median, max })
    }
}

/// The smallest of these that so much of them (0 to 1) does not exceed. None of no numbers.
pub(crate) fn percentile(numbers: &[f64], share: f64) -> Option<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    let rank = (share * numbers.len() as f64).ceil() as usize;
    numbers.get(rank.saturating_sub(1)).copied()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}/{:.2}/{:.2}", self.min, self.median, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::{Summary, percentile};

    #[test]
    fn sums_up() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(
            Summary::of([3.0, 1.0, 2.0]).map(|summary| summary.to_string()).as_deref(),
            Some("1.00/2.00/3.00")
        );
        assert_eq!(Summary::of([1.0, 2.0]).map(|summary| summary.median), Some(1.5));
    }

    #[test]
    fn ranks() {
        let numbers = (1..=200).rev().map(f64::from).collect::<Vec<_>>();
        let found = [0.0, 0.5, 0.99, 1.0].map(|share| percentile(&numbers, share));
        assert_eq!(found, [Some(1.0), Some(100.0), Some(198.0), Some(200.0)]);
        assert_eq!(percentile(&[], 0.5), None);
    }
}
