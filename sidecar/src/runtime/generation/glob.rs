//! Names that stand for many.

/// A name with `*`s, each of which stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(pub(crate) String);

// === impl Glob ===

impl Glob {
    /// Linear in practice and never worse than the product of the lengths: only the last `*` is ever moved.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut star = None;
        while n < name.len() {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p, n));
                p += 1;
            } else if pattern.get(p) == Some(&name[n]) {
                p += 1;
                n += 1;
            } else if let Some((at, from)) = star {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let rows = [
            ("gpt-4o*", "gpt-4o", true),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("gpt-4o*", "gpt-4", false),
            ("*", "", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-x", false),
            ("g*4*i", "gpt-4o-mini", true),
            ("a*b", "ab", true),
            ("a*b", "abcb", true),
            ("a*b", "abc", false),
            ("", "a", false),
        ];
        for (glob, name, want) in rows {
            assert_eq!(Glob(glob.into()).matches(name), want, "{glob} {name}");
        }
    }
}
