//! Whether two samples come from the same distribution: the two-sample Kolmogorov–Smirnov test.

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// D: the largest distance between the two empirical distribution functions.
    pub distance: f64,
    /// How likely a distance as large or larger is if there is no difference.
    pub p: f64,
}

/// Compares two samples, neither of them empty. For a handful of values the approximation is poor; from twenty on it is
/// good.
pub fn kolmogorov_smirnov(one: &[f64], other: &[f64]) -> KolmogorovSmirnov {
    assert!(!one.is_empty() && !other.is_empty(), "an empty sample");
    let (one, other) = (sorted(one), sorted(other));
    let share = |sample: &[f64], value: f64| {
        let below = sample.partition_point(|element| *element <= value);
        count(below) / count(sample.len())
    };
    // The functions are steps, and the largest distance is at one of them.
    let distance = one
        .iter()
        .chain(&other)
        .map(|value| (share(&one, *value) - share(&other, *value)).abs())
        .fold(0.0, f64::max);
    let size = count(one.len()) * count(other.len()) / count(one.len() + other.len());
    // Stephens' correction makes the limit good for small samples (Numerical Recipes, section 14.3).
    let root = size.sqrt();
    let p = exceeds((root + 0.12 + 0.11 / root) * distance);
    KolmogorovSmirnov { distance, p }
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody has samples of that many values"
)]
fn count(number: usize) -> f64 {
    number as f64
}

/// The probability that Kolmogorov's limiting distribution exceeds a value.
fn exceeds(value: f64) -> f64 {
    // Below that it is 1 to all digits, and the series converges slowly.
    if value < 0.2 {
        return 1.0;
    }
    let term = |index: i32| {
        let index = f64::from(index);
        (-2.0 * index * index * value * value).exp()
    };
    let sum: f64 = (1..100)
        .map(|index| {
            if index % 2 == 1 {
                term(index)
            } else {
                -term(index)
            }
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many values, evenly between 0 and 1, and so much later.
    fn even(size: u32, shift: f64) -> Vec<f64> {
        let place = |number| (f64::from(number) + 0.5) / f64::from(size) + shift;
        (0..size).map(place).collect()
    }

    #[test]
    fn the_limit_has_the_values_of_smirnovs_table() {
        // N. Smirnov, Table for estimating the goodness of fit (1948): 1 - L(z).
        for (value, expected) in [
            (0.5, 0.963_945),
            (0.83, 0.496_191),
            (1.0, 0.270_000),
            (1.22, 0.101_898),
            (1.36, 0.049_486),
            (1.63, 0.009_846),
            (2.0, 0.000_671),
        ] {
            let found = exceeds(value);
            assert!((found - expected).abs() < 1e-6, "{value}: {found}");
        }
    }

    #[test]
    fn equal_samples_have_no_distance() {
        let same = even(50, 0.0);
        let result = kolmogorov_smirnov(&same, &same);
        assert_eq!(result.distance, 0.0);
        assert!(result.p > 0.999);
    }

    #[test]
    fn samples_apart_are_as_distant_as_can_be() {
        let result = kolmogorov_smirnov(&even(30, 0.0), &even(40, 2.0));
        assert_eq!(result.distance, 1.0);
        assert!(result.p < 1e-9);
    }

    #[test]
    fn values_that_are_equal_are_one_step() {
        let result = kolmogorov_smirnov(&[1.0, 2.0, 2.0, 3.0], &[2.0, 2.0, 2.0, 2.0]);
        assert!((result.distance - 0.25).abs() < 1e-12, "{result:?}");
    }

    #[test]
    fn five_hundred_each_differ_at_one_percent_from_a_tenth_on() {
        // c(0.01) = 1.628 of the usual table, times the root of 2/500: 0.103.
        let of = |shift| kolmogorov_smirnov(&even(500, 0.0), &even(500, shift)).p;
        assert!(of(0.100) > 0.01, "{}", of(0.100));
        assert!(of(0.106) < 0.01, "{}", of(0.106));
    }

    #[test]
    fn the_order_of_samples_and_values_does_not_matter() {
        let (one, mut other) = (even(33, 0.0), even(57, 0.2));
        let result = kolmogorov_smirnov(&one, &other);
        other.reverse();
        assert_eq!(kolmogorov_smirnov(&other, &one), result);
    }
}
