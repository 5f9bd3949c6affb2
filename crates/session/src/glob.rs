//! Patterns with `*` and `?`, as in sshd_config(5).

/// Whether the whole of `text` matches `pattern`: `*` is any number of characters, `?` is one, all others are themselves.
///
/// Takes at most `pattern.len() * text.len()` steps: only the last `*` is ever tried again, since whatever an earlier one
/// could take over the last one can take as well.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // The pattern after the last `*`, and where the text it has to match begins at the next try.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            ([], []) => return true,
            ([expected, after @ ..], [found, rest @ ..])
                if *expected == b'?' || expected == found =>
            {
                (pattern, text) = (after, rest);
            }
            _ => {
                let Some((after_star, [_, rest @ ..])) = retry else {
                    return false;
                };
                retry = Some((after_star, rest));
                (pattern, text) = (after_star, rest);
            }
        }
    }
}

/// Whether a list of patterns, separated by commas, names `text`: one of them matches it, and none of those with a `!`.
pub(crate) fn list_matches(list: &str, text: &str) -> bool {
    let mut named = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(excluded) if matches(excluded, text) => return false,
            Some(_) => {}
            None => named |= matches(pattern, text),
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::{list_matches, matches};

    #[test]
    fn a_list_names_what_it_does_not_exclude() {
        for (text, named) in [
            ("LANG", true),
            ("LC_TIME", true),
            ("LC_ALL", false),
            ("PATH", false),
        ] {
            assert_eq!(list_matches("!LC_ALL,LC_*,LANG", text), named, "{text}");
            assert_eq!(list_matches("LANG,LC_*,!LC_ALL", text), named, "{text}");
        }
        assert!(!list_matches("", "LANG"));
        assert!(!list_matches("!LC_ALL", "LANG"));
    }

    #[test]
    fn matches_the_whole_text() {
        for (pattern, text) in [
            ("LANG", "LANG"),
            ("LC_*", "LC_ALL"),
            ("LC_*", "LC_"),
            ("*", ""),
            ("**", "X"),
            ("?", "X"),
            ("*A?C*", "xxABxABCx"),
            ("*ab", "aab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn refuses_what_only_begins_alike() {
        for (pattern, text) in [
            ("LANG", "LANGUAGE"),
            ("LANG", "LAN"),
            ("LANG", "lang"),
            ("LC_*", "XLC_ALL"),
            ("?", ""),
            ("?", "XX"),
            ("", "X"),
            ("*a?", "ba"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_multiply() {
        let (pattern, text) = ("a*".repeat(50) + "b", "a".repeat(10_000));
        assert!(!matches(&pattern, &text));
    }
}
