//! The one order: of content, metadata, checksum list, times, index and article tree. (FORMAT.md, "The bundle")
//!
//! Articles go by the bytes of `<path>/`, the files of an article by the bytes of their names. So the lines of an article are one stretch,
//! also where another article lies inside its folder. Packer and reader both ask here, and nowhere else.

use std::cmp::Ordering;

/// Compares two articles by their paths, each as if `/` stood at its end.
pub fn articles(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let same = one.len().min(other.len());
    let rest = |path: &[u8]| path.get(same).copied().unwrap_or(b'/');
    one[..same].cmp(&other[..same]).then(rest(one).cmp(&rest(other))).then(one.len().cmp(&other.len()))
}

/// Says whether a path lies in the folder `above`, at whatever depth.
pub fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// Walks the folders that a path lies in, the deepest first: of `a/b/c` those are `a/b` and `a`.
pub fn folders(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |folder| parent(folder))
}

/// Returns the folder that a path lies in.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_article_inside_another_comes_right_after_it() {
        let mut paths = ["a/b", "aq", "a", "A", "a.b", "ar", "a-b", "a/b/c"];
        paths.sort_by(|one, other| articles(one, other));
        assert_eq!(paths, ["A", "a-b", "a.b", "a", "a/b", "a/b/c", "aq", "ar"]);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_bytes_with_a_slash_added(one in "[a-c/.0-]{1,6}", other in "[a-c/.0-]{1,6}") {
            let bytes = |path: &str| format!("{path}/").into_bytes();
            prop_assert_eq!(articles(&one, &other), bytes(&one).cmp(&bytes(&other)));
        }
    }
}
