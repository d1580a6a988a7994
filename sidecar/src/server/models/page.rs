//! Which part of the list is asked for, as Anthropic's SDKs page through it.

use spillway_providers::BadRequest;

use crate::{error::ProxyError, server::decoded};

/// Anthropic's own bounds.
const USUAL: usize = 20;
const MOST: usize = 1_000;

/// One page. The names a page begins behind and ends before need not be there any more: lists are sorted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    limit: usize,
    after: Option<String>,
    before: Option<String>,
}

// === impl Page ===

impl Page {
    /// Reads `limit`, `after_id` and `before_id`; what else there may be is for somebody else.
    pub(super) fn read(query: Option<&str>) -> Result<Self, ProxyError> {
        let mut page = Self { limit: USUAL, after: None, before: None };
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            match name {
                "limit" => page.limit = limit(&value)?,
                "after_id" => page.after = Some(value).filter(|id| !id.is_empty()),
                "before_id" => page.before = Some(value).filter(|id| !id.is_empty()),
                _ => {}
            }
        }
        Ok(page)
    }

    /// What of the sorted names is on the page, and whether there is more in the same direction.
    pub(super) fn of<'a, 'n>(&self, names: &'a [&'n str]) -> (&'a [&'n str], bool) {
        let start = self.after.as_ref().map_or(0, |id| names.partition_point(|name| *name <= id.as_str()));
        let end = self.before.as_ref().map_or(names.len(), |id| names.partition_point(|name| *name < id.as_str()));
        let within = names.get(start..end).unwrap_or_default();
        let has_more = within.len() > self.limit;
        let backwards = self.before.is_some() && self.after.is_none();
        let shown = match within.len().checked_sub(self.limit) {
            Some(surplus) if backwards => &within[surplus..],
            Some(_) => &within[..self.limit],
            None => within,
        };
        (shown, has_more)
    }
}

fn limit(text: &str) -> Result<usize, ProxyError> {
    match text.parse() {
        Ok(limit @ 1..=MOST) => Ok(limit),
        _ => {
            let text = text.chars().take(32).collect::<String>();
            let message = format!("\"limit\" must be a whole number from 1 to {MOST}, not {text:?}");
            Err(BadRequest { param: Some("limit".to_owned()), message }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_lies_between_its_ends() {
        let names = ["a", "b", "c", "d"];
        let rows: [(&str, &[&str], bool); 9] = [
            ("", &["a", "b", "c", "d"], false),
            ("limit=2", &["a", "b"], true),
            ("limit=2&after_id=b", &["c", "d"], false),
            ("limit=1&after_id=b", &["c"], true),
            ("limit=2&before_id=d", &["b", "c"], true),
            ("after_id=bb", &["c", "d"], false),
            ("after_id=d", &[], false),
            ("after_id=c&before_id=b", &[], false),
            ("after_id=%62&beta=true", &["c", "d"], false),
        ];
        for (query, want, more) in rows {
            assert_eq!(Page::read(Some(query)).unwrap().of(&names), (want, more), "{query}");
        }
    }

    #[test]
    fn a_limit_that_is_none_is_refused_by_name() {
        for text in ["0", "1001", "-1", "x", ""] {
            let error = Page::read(Some(&format!("limit={text}"))).unwrap_err();
            assert_eq!(error.shape().param.as_deref(), Some("limit"), "{text}");
        }
    }
}
