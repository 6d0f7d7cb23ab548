//! The sentences of a text, only counted: a request of several may ask for several things.

use super::bounded;

/// What ends a sentence, where white space follows.
const ENDS: [char; 4] = ['.', ';', '?', '!'];

/// How many sentences a text has; a line's end is one's too.
pub fn sentences(text: &str) -> usize {
    let count = |line: &str| {
        let mut open = false;
        let mut ended = 0;
        for word in line.split_whitespace() {
            open |= word.contains(char::is_alphanumeric);
            if open && word.ends_with(ENDS) {
                ended += 1;
                open = false;
            }
        }
        ended + usize::from(open)
    };
    bounded(text).lines().map(count).sum()
}
