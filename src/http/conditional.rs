//! Conditional requests by entity tag (RFC 9110 §13.1.1 to §13.1.5). Dates are not used: the
//! program's bodies are functions of media, and their tags say all there is to say.

/// Whether If-None-Match lists `etag`, by weak comparison, so that the answer is 304
/// (RFC 9110 §13.1.2). `etag` carries its quotes. A malformed list matches up to its fault.
#[must_use]
pub fn not_modified(if_none_match: Option<&str>, etag: &str) -> bool {
    let Some(list) = if_none_match else { return false };
    list.trim_ascii() == "*" || entity_tags(list).any(|tag| tag == opaque_tag(etag))
}

/// Whether an If-Range condition holds, by strong comparison (RFC 9110 §13.1.5); a date never
/// does, since no Last-Modified is ever sent.
#[must_use]
pub fn range_applies(if_range: Option<&str>, etag: &str) -> bool {
    if_range.is_none_or(|validator| validator.trim_ascii() == etag && etag.starts_with('"'))
}

/// The tag without its weakness.
fn opaque_tag(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The opaque tags of a list, quotes included, up to the first fault.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let tag = opaque_tag(rest.trim_start_matches([' ', '\t', ',']));
        let end = tag.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = tag.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        rest = if after.is_empty() { after } else { after.strip_prefix(',')? };
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn if_none_match_lists() {
        let cases = [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("*", true),
            (" * ", true),
            ("\"b\", \"a\"", true),
            ("\"b\",W/\"a\"", true),
            (",, \"b\" ,\t\"a\" ,", true),
            ("\"b,\\\", \"a\"", true),
            ("\"b\"", false),
            ("\"A\"", false),
            ("a", false),
            ("\"a", false),
            ("\"b, \"a\"", false),
            ("\"b\" \"a\"", false),
            ("\"x\"a\"", false),
            ("w/\"a\"", false),
            ("", false),
            ("*, \"b\"", false),
        ];
        for (list, expected) in cases {
            assert_eq!(not_modified(Some(list), "\"a\""), expected, "{list:?}");
        }
        assert!(!not_modified(None, "\"a\""));
        assert!(not_modified(Some("\"a\""), "W/\"a\""));
    }

    #[test]
    fn if_range_compares_strongly() {
        let cases = [
            (None, true),
            (Some("\"a\""), true),
            (Some("\"b\""), false),
            (Some("W/\"a\""), false),
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), false),
        ];
        for (if_range, expected) in cases {
            assert_eq!(range_applies(if_range, "\"a\""), expected, "{if_range:?}");
        }
        assert!(!range_applies(Some("W/\"a\""), "W/\"a\""));
    }

    proptest! {
        #[test]
        fn any_list_ends(list in "[\"W/*, a\\\\\t]{0,40}") {
            let named = list.contains("\"a\"") || list.contains('*');
            prop_assert!(named || !not_modified(Some(&list), "\"a\""));
        }
    }
}
