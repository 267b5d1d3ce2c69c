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

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}/{:.2}/{:.2}", self.min, self.median, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn sums_up() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(
            Summary::of([3.0, 1.0, 2.0]).map(|summary| summary.to_string()).as_deref(),
            Some("1.00/2.00/3.00")
        );
        assert_eq!(Summary::of([1.0, 2.0]).map(|summary| summary.median), Some(1.5));
    }
}
