//! Durations as ISO 8601 writes them.

/// Reads `PnDTnHnMn.nS` in milliseconds, as `Duration.parse` does; `None` for what is negative or no duration.
pub fn duration_ms(text: &str) -> Option<i64> {
    let (days, time) = match text.to_ascii_uppercase().strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days.to_owned(), time.to_owned()),
        Some(_) => return None,
        None => (text.to_ascii_uppercase().strip_prefix('P')?.to_owned(), String::new()),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = 0_i64;
    if !days.is_empty() {
        let days: i64 = days.strip_suffix('D')?.parse().ok()?;
        total = days.checked_mul(86_400_000)?;
    }
    let mut rest = time.as_str();
    for (unit, millis) in [('H', 3_600_000_i64), ('M', 60_000), ('S', 1_000)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if unit != 'S' && !fraction.is_empty() {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        total = total.checked_add(whole.checked_mul(millis)?)?;
        if !fraction.is_empty() {
            if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
            total = total.checked_add(digits.parse().ok()?)?;
        }
        rest = after;
    }
    (rest.is_empty() && total >= 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        assert_eq!(duration_ms("PT1H30M"), Some(5_400_000));
        assert_eq!(duration_ms("P2DT3.5S"), Some(2 * 86_400_000 + 3_500));
        assert_eq!(duration_ms("P1D"), Some(86_400_000));
        assert_eq!(duration_ms("pt0.25s"), Some(250));
        for wrong in ["", "P", "PT", "1H", "PT1X", "PT-1H", "P1H", "PT1S1H", "PT1.5H"] {
            assert_eq!(duration_ms(wrong), None, "{wrong}");
        }
    }
}
