//! Lists in pages: `{items, next}`.
//!
//! A cursor names the last item that was shown, so a page stays right while items come and go. To callers it is opaque.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schema::id::Id;
use serde::Serialize;

use super::params::{Params, number};
use super::problem::Problem;

/// Items on a page unless asked otherwise.
pub(super) const ITEMS_DEFAULT: usize = 100;
/// Items on a page at most.
pub(super) const ITEMS_MAX: usize = 1_000;

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    after: Option<Id>,
    limit: usize,
}

/// A part of a list.
#[derive(Debug, Serialize)]
pub(super) struct Listing<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// The cursor of the next part; none at the end.
    pub(super) next: Option<String>,
}

impl Page {
    /// Reads `limit` and `cursor`.
    pub(super) fn take(params: &mut Params) -> Result<Self, Problem> {
        let limit = limit(params)?;
        let after = params.take("cursor", |text| match text {
            "" => Ok(None),
            cursor => read(cursor).map(Some).ok_or_else(|| "is not a cursor of this list".to_string()),
        })?;
        Ok(Self { after: after.flatten(), limit })
    }

    /// The keys that the page may show.
    pub(super) fn keys<K: From<Id>>(&self) -> (Bound<K>, Bound<K>) {
        let start = self.after.clone().map_or(Bound::Unbounded, |id| Bound::Excluded(id.into()));
        (start, Bound::Unbounded)
    }

    /// The page of `rows`, which come in order and begin where [`Page::keys`] says.
    pub(super) fn list<K: AsId, V, T>(
        &self,
        mut rows: impl Iterator<Item = (K, V)>,
        mut show: impl FnMut(&K, V) -> T,
    ) -> Listing<T> {
        let mut items = Vec::new();
        let mut last = None;
        for (key, value) in rows.by_ref().take(self.limit) {
            items.push(show(&key, value));
            last = Some(key);
        }
        let more = rows.next().is_some();
        Listing { items, next: last.filter(|_| more).map(|key| written(key.as_id())) }
    }
}

impl<T> Listing<T> {
    /// The same part with its items shown otherwise.
    pub(super) fn map<U>(self, show: impl FnMut(T) -> U) -> Listing<U> {
        Listing { items: self.items.into_iter().map(show).collect(), next: self.next }
    }
}

/// Reads `limit`.
pub(super) fn limit(params: &mut Params) -> Result<usize, Problem> {
    let read = |text: &str| match number(text).map(usize::try_from) {
        Ok(Ok(limit)) if (1..=ITEMS_MAX).contains(&limit) => Ok(limit),
        _ => Err(format!("is a number from 1 to {ITEMS_MAX}")),
    };
    Ok(params.take("limit", read)?.unwrap_or(ITEMS_DEFAULT))
}

/// A key of a list: the id of its item.
pub(super) trait AsId {
    /// The id.
    fn as_id(&self) -> &Id;
}

macro_rules! keys {
    ($($name:ty),*) => {
        $(impl AsId for &$name {
            fn as_id(&self) -> &Id {
                self.id()
            }
        })*
    };
}
keys!(
    schema::id::DocumentId,
    schema::id::NodeId,
    schema::id::PrincipalName,
    schema::id::ControlId,
    schema::id::ComponentId,
    schema::id::AssessmentId,
    schema::id::AttestationId,
    schema::id::JobId
);

fn written(id: &Id) -> String {
    URL_SAFE_NO_PAD.encode(id.as_str())
}

fn read(cursor: &str) -> Option<Id> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    std::str::from_utf8(&bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use schema::id::NodeId;

    fn walk(rows: &BTreeMap<NodeId, u32>, limit: usize) -> Vec<Vec<u32>> {
        let mut page = Page { after: None, limit };
        let mut pages = Vec::new();
        loop {
            let listing = page.list(rows.range(page.keys::<NodeId>()), |_, value| *value);
            pages.push(listing.items);
            let Some(cursor) = listing.next else { return pages };
            page.after = read(&cursor);
        }
    }

    #[test]
    fn pages_show_every_item_once_and_end_where_the_list_ends() {
        let node = |number: u32| (format!("n-{number}").parse().expect("valid"), number);
        let rows: BTreeMap<NodeId, u32> = (0..4).map(node).collect();
        assert_eq!(walk(&rows, 3), [vec![0, 1, 2], vec![3]]);
        assert_eq!(walk(&rows, 4), [vec![0, 1, 2, 3]]);
        assert_eq!(walk(&rows, 2), [vec![0, 1], vec![2, 3]]);
        assert_eq!(walk(&BTreeMap::new(), 2), [Vec::<u32>::new()]);
    }
}
