//! Texts of others, cut to what is shown of them on one line.

/// The text on one line, at most so many characters of it; cut, it ends in an ellipsis.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut taken: String = text.trim().chars().take(most).map(plain).collect();
    if text.trim().chars().nth(most).is_some() {
        taken.push('…');
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_stays_on_one_line() {
        assert_eq!(shortened(" a\nb ", 3), "a b");
        assert_eq!(shortened("äbcd", 3), "äbc…");
        assert_eq!(shortened("äbc", 3), "äbc");
    }
}
